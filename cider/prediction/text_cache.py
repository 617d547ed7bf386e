"""Text features by text: equal texts of a sweep are encoded once, several at a time on the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from cider.models.backbone_model import SentimentModel, text_reader

T = TypeVar("T")
R = TypeVar("R")

MAX_BYTES = 1 << 28
_GROUP = 64


class TextFeatureCache:
    """Encodes texts and remembers the features of the condition at hand and of the one before.

    Neighbouring conditions of a sweep have texts in common, and so have the two views of one condition: short
    texts that lost nothing, texts that are [UNK] only. The weights of the encoder must not change while this
    is in use.

    Attributes:
        asked: texts asked for, and
        encoded: those among them that had to be encoded.
    """

    def __init__(self, encoder: nn.Module, *, pad_id: int, max_bytes: int = MAX_BYTES) -> None:
        """Remember nothing yet.

        Args:
            encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l).
            pad_id: id of padding.
            max_bytes: of the features that are kept per condition; what goes beyond is encoded again.
        """
        self._encoder = encoder
        self._pad_id = pad_id
        self._max_bytes = max_bytes
        self._before: dict[bytes, Tensor] = {}
        self._kept: dict[bytes, Tensor] = {}
        self._at_hand: dict[bytes, Tensor] = {}
        self._num_bytes = 0
        self.asked = self.encoded = 0

    def next_condition(self) -> None:
        """Forget the condition before the last."""
        self._before, self._kept, self._num_bytes = self._kept, {}, 0

    def encode(
        self, texts: Sequence[NDArray[np.int64]], run: ThreadedInference, device: torch.device | str
    ) -> None:
        """Have the features of ``texts``, each (T_l,) without padding, at hand.

        Only what is not known yet is encoded, texts of similar length together.
        """
        wanted = {text.tobytes(): text for text in texts}
        known = {**self._before, **self._kept}
        self._at_hand = {key: known[key] for key in wanted if key in known}
        fresh = sorted((text for key, text in wanted.items() if key not in known), key=len)
        groups = [fresh[start : start + _GROUP] for start in range(0, len(fresh), _GROUP)]
        for group, rows in zip(groups, run(lambda group: self._encode(group, device), groups), strict=True):
            self._at_hand.update((text.tobytes(), row) for text, row in zip(group, rows, strict=True))
        for key, row in self._at_hand.items():
            if key not in self._kept and self._num_bytes + row.nbytes <= self._max_bytes:
                self._kept[key] = row
                self._num_bytes += row.nbytes
        self.asked += len(texts)
        self.encoded += len(fresh)

    def _encode(self, group: Sequence[NDArray[np.int64]], device: torch.device | str) -> list[Tensor]:
        lengths = torch.tensor([len(text) for text in group])
        ids = pad_sequence(
            [torch.from_numpy(text) for text in group], batch_first=True, padding_value=float(self._pad_id)
        )
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        features = self._encoder(ids.to(device), mask.to(device))
        return [row[:length].clone() for row, length in zip(features, lengths.tolist(), strict=True)]

    def lookup(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        """Features (B, T_l, d_l) of texts at hand, zeros at padding."""
        lengths = text_mask.sum(dim=1).tolist()
        ids = input_ids.cpu().numpy()
        rows = [self._at_hand[row[:length].tobytes()] for row, length in zip(ids, lengths, strict=True)]
        features = pad_sequence(rows, batch_first=True)
        return nn.functional.pad(features, (0, 0, 0, input_ids.shape[1] - features.shape[1]))


class _Lookup(nn.Module):
    """Module in place of the text encoder."""

    def __init__(self, texts: TextFeatureCache) -> None:
        super().__init__()
        self._texts = texts

    def forward(self, input_ids: Tensor, text_mask: Tensor) -> Tensor:
        return self._texts.lookup(input_ids, text_mask)


@contextmanager
def cached_text_features(model: SentimentModel, texts: TextFeatureCache) -> Iterator[None]:
    """Let ``model`` read the features of ``texts`` in place of encoding."""
    reader, encoder = text_reader(model), model.text_encoder
    reader.text_encoder = _Lookup(texts)
    try:
        yield
    finally:
        reader.text_encoder = encoder


class ThreadedInference:
    """Runs a function on several items, in evaluation, one thread of torch each.

    Threads over whole batches, and not the threads inside each operation of torch: the operations of so small
    a model are too short to share out, and where other programs take a core, torch's threads wait for each
    other.
    """

    def __init__(self, device: torch.device | str, *, bf16: bool = False) -> None:
        """Use the threads that torch may use; one on an accelerator."""
        self._device_type = torch.device(device).type
        self._bf16 = bf16
        self._threads = torch.get_num_threads() if self._device_type == "cpu" else 1

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """``[function(item) for item in items]``."""

        def call(item: T) -> R:
            # Both are states of a thread, so each call sets its own.
            with (
                torch.inference_mode(),
                torch.autocast(self._device_type, torch.bfloat16, enabled=self._bf16),
            ):
                return function(item)

        if self._threads == 1 or len(items) < 2:
            return [call(item) for item in items]
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(self._threads) as pool:
                return list(pool.map(call, items))
        finally:
            torch.set_num_threads(self._threads)
