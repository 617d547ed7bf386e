"""Torch batches of a feature store: ``Batch``, the dataset, and the collation to the longest row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mer_data.store.reader import FeatureStore
from mer_data.text.tokenizer import SPECIAL_NAMES, Tokenizer
from mer_data.torch_data.samplers import LengthGroupedBatches
from mer_data.utterances import cut


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the word pieces with a role."""

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int


@dataclass(frozen=True)
class Batch:
    """B utterances, padded to the longest row of each modality in this batch.

    Attributes:
        input_ids: (B, T_l) int64 word pieces, padded with the tokenizer's pad id.
        text_mask: (B, T_l) bool, True at word pieces (special tokens included), False at padding.
        audio: (B, T_a, d_a) float32, zeros at padding.
        audio_mask: (B, T_a) bool, True at frames.
        vision: (B, T_v, d_v) float32, zeros at padding.
        vision_mask: (B, T_v) bool, True at frames.
        label: (B,) float32 sentiment in [-3, 3].
        index: (B,) int64 row of the utterance in its store.
    """

    input_ids: Tensor
    text_mask: Tensor
    audio: Tensor
    audio_mask: Tensor
    vision: Tensor
    vision_mask: Tensor
    label: Tensor
    index: Tensor

    def __len__(self) -> int:
        """Number of utterances B."""
        return int(self.label.shape[0])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on ``device``."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def special_tokens(tokenizer: Tokenizer) -> SpecialTokens:
    """Ids of the special tokens of a store's tokenizer."""
    return SpecialTokens(*(tokenizer.special_id(name) for name in SPECIAL_NAMES))


class UtteranceDataset(Dataset["Item"]):
    """Some utterances of a store, cut to the longest rows a model is served.

    ``Collator`` makes batches of its items. Text that is too long keeps its first pieces
    and the closing [SEP]; audio and vision keep their first frames (aligned: the frames of the kept pieces).
    """

    def __init__(self, store: FeatureStore, indices: NDArray[np.int64]) -> None:
        """Serve the rows ``indices`` of ``store``; the file is opened in the process that reads."""
        self.store = store
        self.indices = np.asarray(indices, dtype=np.int64)
        self._limits = store.limits
        self._aligned = store.alignment == "aligned"
        self._labels = store.utterances["label"].to_numpy(np.float32)

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.indices)

    def __getitem__(self, position: int) -> Item:
        """One utterance."""
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: list[int]) -> list[Item]:
        """Several utterances with one call to the store."""
        indices = self.indices[positions]
        rows = self.store.read(indices)
        items = []
        for number, index in enumerate(indices):
            frames = {
                modality: cut(stream[number], self._limits[modality], keep_last=self._aligned)
                for modality, stream in rows.streams.items()
            }
            items.append(
                Item(
                    input_ids=cut(rows.token_ids[number], self._limits["text"], keep_last=True),
                    audio=frames.get("audio", _NO_FRAMES),
                    vision=frames.get("vision", _NO_FRAMES),
                    label=float(self._labels[index]),
                    index=int(index),
                )
            )
        return items


_NO_FRAMES = np.zeros((0, 0), dtype=np.float32)
"""The frames of a modality that the store does not have: no steps, no columns."""


@dataclass(frozen=True)
class Item:
    """One utterance, unpadded: pieces (T_l,), audio (T_a, d_a), vision (T_v, d_v)."""

    input_ids: NDArray[np.int32]
    audio: NDArray[np.float32]
    vision: NDArray[np.float32]
    label: float
    index: int


class Collator:
    """Pads items to the longest row of each modality among them."""

    def __init__(self, pad_id: int) -> None:
        """Pad text with ``pad_id``, frames with zeros."""
        self._pad_id = pad_id

    def __call__(self, items: Sequence[Item]) -> Batch:
        """The batch of ``items``, in their order."""
        input_ids, text_mask = _pad([item.input_ids.astype(np.int64) for item in items], self._pad_id)
        audio, audio_mask = _pad([item.audio for item in items], 0)
        vision, vision_mask = _pad([item.vision for item in items], 0)
        return Batch(
            input_ids=input_ids,
            text_mask=text_mask,
            audio=audio,
            audio_mask=audio_mask,
            vision=vision,
            vision_mask=vision_mask,
            label=torch.tensor([item.label for item in items], dtype=torch.float32),
            index=torch.tensor([item.index for item in items], dtype=torch.int64),
        )


def _pad(rows: Sequence[NDArray[Any]], fill: int) -> tuple[Tensor, Tensor]:
    """(B, T, ...) values and (B, T) mask, True at steps that are there."""
    longest = max(len(row) for row in rows)
    values = np.full((len(rows), longest, *rows[0].shape[1:]), fill, dtype=rows[0].dtype)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for number, row in enumerate(rows):
        values[number, : len(row)] = row
        mask[number, : len(row)] = True
    return torch.from_numpy(values), torch.from_numpy(mask)


def length_grouped(
    store: FeatureStore, indices: NDArray[np.int64], batch_size: int, generator: torch.Generator
) -> LengthGroupedBatches:
    """Random batches of the rows ``indices``, grouped by the number of word pieces that is served."""
    lengths = np.minimum(store.lengths("tokens")[np.asarray(indices)], store.limits["text"])
    return LengthGroupedBatches(lengths, batch_size, generator)


def load_batches(
    store: FeatureStore,
    indices: NDArray[np.int64],
    batches: Iterable[list[int]],
    *,
    num_workers: int = 0,
) -> DataLoader[Any]:
    """A loader of these ``batches`` of positions in ``indices``, in their order."""
    return DataLoader(
        UtteranceDataset(store, indices),
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=Collator(special_tokens(store.tokenizer).pad),
        # Its own, for a loader without one takes a number from the global generator, which dropout uses.
        generator=torch.Generator(),
    )


def make_loader(
    store: FeatureStore,
    indices: NDArray[np.int64],
    *,
    batch_size: int,
    shuffle_generator: torch.Generator | None = None,
    num_workers: int = 0,
) -> DataLoader[Any]:
    """A loader of ``Batch``: with a generator shuffled and grouped by length, else in the order given."""
    batches: Iterable[list[int]]
    if shuffle_generator is None:
        batches = BatchSampler(range(len(indices)), batch_size, drop_last=False)
    else:
        batches = length_grouped(store, indices, batch_size, shuffle_generator)
    return load_batches(store, indices, batches, num_workers=num_workers)
