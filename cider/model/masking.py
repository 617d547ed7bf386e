"""Padding: it is zero, it gets no attention, and there may be more of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """``x`` (B, T, d) with zeros where ``mask`` (B, T) is False."""
    return x.masked_fill(~mask.unsqueeze(-1), 0.0)


def pad_steps(x: Tensor, steps: int) -> Tensor:
    """``x`` (B, T, d) or a mask (B, T) with zeros up to ``steps``; longer ones are cut."""
    missing = steps - x.shape[1]
    return functional.pad(x, (0, 0, 0, missing) if x.ndim == 3 else (0, missing))


def masks_of_blocks(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three masks (B, T): of a shared one (B, T), or of one for each block (B, 3, T)."""
    text, audio, vision = (mask,) * 3 if mask.ndim == 2 else mask.unbind(dim=1)
    return text, audio, vision


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


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean (B, d) of ``x`` (B, T, d) over the steps where ``mask`` (B, T) is True; zeros without any."""
    return zero_padding(x, mask).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
