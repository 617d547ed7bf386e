"""KL divergence of the tri attention of two views, forward and backward, without a T x T matrix in memory.

Letters as in the kernel of MCA, whose tiles and operands are used. For a row with logits S of the teacher and
S' of the student, D and D' those less their maxima, E = exp(D), Z = sum E, and E', Z' of the student's,

    KL = sum E (D - D') / Z - log Z + log Z',   dKL/dS' = E' / Z' - E / Z.

Both are at hand in one pass, so the forward pass also takes the gradients of the student's queries and keys.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cider.model.attention import AttentionLogits
from cider.model.kernels.attention_tiles import (
    Tile,
    attended_steps,
    exp_,
    from_heads,
    logits,
    queries_and_keys,
    tiles,
    without_autocast,
    workspace_for,
)


def tri_divergence(teacher: AttentionLogits, student: AttentionLogits, mask: Tensor) -> Tensor:
    """KL(softmax teacher || softmax student) over valid keys, summed over valid rows, heads and utterances.

    Computed in float32 where the input has less.

    Args:
        teacher: a constant.
        student: of the same utterances.
        mask: (B, T) bool, True at valid steps of the three blocks, or (B, 3, T), one for each; of rows and
            of keys.
    """
    views = (teacher.query.detach(), teacher.key.detach(), student.query, student.key)
    wide = (view if view.dtype == torch.float64 else view.float() for view in views)
    divergence: Tensor = _Divergence.apply(*wide, mask)
    return divergence


class _Divergence(torch.autograd.Function):
    """`tri_divergence` in the precision of its input."""

    @staticmethod
    @without_autocast
    def forward(
        ctx: Any, t_query: Tensor, t_key: Tensor, s_query: Tensor, s_key: Tensor, mask: Tensor
    ) -> Tensor:
        valid, total = attended_steps(mask), t_query.new_zeros(())
        wanted = ctx.needs_input_grad[2] or ctx.needs_input_grad[3]
        gradients = [torch.zeros_like(view) for view in (s_query, s_key)] if wanted else []
        all_tiles = tiles(valid.any(dim=1), t_query.shape[2])
        spaces = [workspace_for(all_tiles, t_query) for _ in range(3)]
        for tile in all_tiles:
            q, k = queries_and_keys(s_query, s_key, valid, tile)
            target = logits(*queries_and_keys(t_query, t_key, valid, tile), spaces[0])
            change = logits(q, k, spaces[1])
            total += _divergence_(target, change, spaces[2], _counted_rows(mask, tile, t_query.shape[2]))
            if wanted:
                width = s_query.shape[-1]
                dq = torch.bmm(k[:, :width], change).div_(math.sqrt(width))
                for part, into in zip(
                    (dq, torch.bmm(q[:, :width], change.transpose(1, 2))), gradients, strict=True
                ):
                    from_heads(part, tile, into)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        query, key = ctx.saved_tensors
        return None, None, upstream * query, upstream * key, None


def _divergence_(target: Tensor, change: Tensor, space: Tensor, counted: Tensor) -> Tensor:
    """The divergence of a tile, summed over the rows that count; the gradient of S' is left in ``change``.

    Args:
        target: S of the teacher, keys by rows (N, 3t, 3t); overwritten.
        change: S' of the student.
        space: for E.
        counted: (N, 1, 3t), 1 at rows that count, 0 at others.
    """
    for matrix in (target, change):
        matrix.sub_(matrix.amax(dim=1, keepdim=True))
    teacher = space[: target.numel()].view_as(target)
    exp_(teacher.copy_(target))
    difference = target.sub_(change).mul_(teacher).sum(dim=1, keepdim=True)
    student = exp_(change)
    teacher_mass, student_mass = (matrix.sum(dim=1, keepdim=True) for matrix in (teacher, student))
    rows = difference / teacher_mass - teacher_mass.log() + student_mass.log()
    student.mul_(counted / student_mass).sub_(teacher.mul_(counted / teacher_mass))
    return (rows * counted).sum()


def _counted_rows(mask: Tensor, tile: Tile, heads: int) -> Tensor:
    by_block = mask if mask.ndim == 3 else mask.unsqueeze(1)
    rows = by_block[tile.members, :, : tile.steps].expand(-1, 3, -1).flatten(1)
    return rows.repeat_interleave(heads, dim=0).unsqueeze(1).float()
