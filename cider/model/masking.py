"""Padding: it is zero, and it gets no attention."""

from __future__ import annotations

import torch
from torch import Tensor


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """``x`` (B, T, d) with zeros where ``mask`` (B, T) is False."""
    return x.masked_fill(~mask.unsqueeze(-1), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis, only among the positions where ``mask`` is True; the others get exactly 0.

    A row without any valid position, or of length 0, gets no attention at all: zeros, and never NaN.

    Args:
        scores: (..., S).
        mask: bool, broadcastable to ``scores``.
    """
    # A finite fill, because a row of -inf only would be NaN, in its gradient too.
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return filled.softmax(dim=-1).masked_fill(~mask, 0.0)
