"""Torch batches of a feature store: ``Batch``, the dataset, and the collation to the longest row."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


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
