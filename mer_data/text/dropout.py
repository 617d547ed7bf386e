"""Dropout whose masks are cheap to draw on a processor. Imports torch: load on demand."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_STEPS = 2**16


def draw_kept(
    shape: tuple[int, ...], probability: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, float]:
    """Draw the mask of the values that dropout keeps, from torch's global generator of the device.

    On a processor torch draws 64 bits for every value, one after the other; here they make four masks of 16
    bits each. So a probability is a multiple of 2**-16, and the scale fits the multiple.

    Args:
        shape: of the mask.
        probability: to be dropped, in [0, 1).
        device: where the mask is needed.

    Returns:
        A mask (uint8, 1 where a value stays), and what those are multiplied by so that the mean stays.
    """
    size = math.prod(shape)
    if torch.device(device).type != "cpu":
        kept = torch.empty(shape, dtype=torch.uint8, device=device).bernoulli_(1 - probability)
        return kept, 1 / (1 - probability)
    steps = min(round(probability * _STEPS), _STEPS - 1)
    words = torch.empty(math.ceil(size / 4), dtype=torch.int64).random_(-(2**63), None)
    kept = torch.empty(size, dtype=torch.uint8)
    torch.ge(words.view(torch.int16)[:size], steps - _STEPS // 2, out=kept)
    return kept.view(shape), _STEPS / (_STEPS - steps)


def drop(x: Tensor, probability: float) -> Tensor:
    """``x`` with values dropped at random, the others scaled up so that the mean stays."""
    if probability == 0:
        return x
    kept, scale = draw_kept(tuple(x.shape), probability, x.device)
    dropped: Tensor = _Drop.apply(x, kept, scale)
    return dropped


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, not in place, with masks of ``draw_kept``."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop while training."""
        return drop(input, self.p) if self.training else input


def replace_dropout(module: nn.Module) -> None:
    """Put ``Dropout`` in the place of every `torch.nn.Dropout` inside ``module``."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))


class _Drop(torch.autograd.Function):
    """x * kept * scale, of which only ``kept`` is remembered, a byte a value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return x.mul(kept).mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return gradient.mul(kept).mul_(ctx.scale), None, None
