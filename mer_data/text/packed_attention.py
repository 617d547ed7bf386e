"""Attention of a Hugging Face encoder over texts laid one after the other, without padding.

All layers but attention look at one word piece at a time, so an encoder can read the pieces of a whole batch
as one long row. Only attention has to know where texts end: it puts texts of similar length into a padded
block, attends, and takes the padding out again. Imports torch: load on demand.

Letters: N word pieces of all texts, B texts, H heads, h head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from mer_data.text.dropout import drop

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NAME = "mer_data_packed"
_GROUP = 32
#: A processor's softmax is ten times slower over fewer values than its vectors hold.
_LEAST = 16


@dataclass(frozen=True)
class Group:
    """Texts of similar length, n of them, in a block of t steps.

    Attributes:
        pieces: where theirs are in the row of all pieces.
        places: (pieces,) where those are in the padded block (n * t).
        mask: (n, 1, 1, t) bool, True at pieces; t is at least the width of a vector.
    """

    pieces: slice
    places: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Packing:
    """The texts of a batch laid one after the other in one row.

    Attributes:
        order: (B,) texts by rising length; their order in the row.
        source: (N,) where each piece is in the batch (B * T).
        steps: (N,) the position of each piece in its text.
        groups: texts that attend in one block.
    """

    order: Tensor
    source: Tensor
    steps: Tensor
    groups: tuple[Group, ...]

    @classmethod
    def from_mask(cls, mask: Tensor) -> Packing:
        """For a batch with pieces where ``mask`` (B, T) is True."""
        # Neighbours by length share a block, so that little of it is padding.
        order = mask.sum(dim=1).argsort(stable=True)
        ordered = mask[order]
        rows, steps = ordered.nonzero(as_tuple=True)
        # The last piece counts, not their number: a mask may have holes, and steps are positions in the text.
        ends = torch.arange(1, mask.shape[1] + 1, device=mask.device)
        lengths = (ends * ordered).amax(dim=1).tolist()
        first_of_text = functional.pad(ordered.sum(dim=1).cumsum(dim=0), (1, 0)).tolist()
        groups = []
        for first in range(0, len(mask), _GROUP):
            last = min(first + _GROUP, len(mask))
            pieces = slice(first_of_text[first], first_of_text[last])
            longest = max(lengths[first:last])
            if not longest:  # texts without a piece need no attention
                continue
            width = max(longest, _LEAST)
            # Row in the block times its width, plus the step: where each piece goes in the flattened block.
            places = (rows[pieces] - first) * width + steps[pieces]
            block = functional.pad(ordered[first:last, :longest], (0, width - longest))
            groups.append(Group(pieces, places, block[:, None, None]))
        return cls(order, order[rows] * mask.shape[1] + steps, steps, tuple(groups))


def use_packed_attention(model: PreTrainedModel) -> None:
    """Let a BERT take a ``packing`` (with ``position_ids``); without one it does what it did before."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, packed_attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)


def packed_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packing: Packing | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_options: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; with ``packing``, inside the texts of one row.

    Args:
        query: (1, H, N, h); without packing (B, H, T, h), and so are key, value and result.
        key: (1, H, N, h).
        value: (1, H, N, h).
        attention_mask: broadcast to (B, H, T, T), True where attended; None with packing.
        packing: where texts begin and end.
        dropout: on the attention weights.
        scaling: of the logits.

    Returns:
        (1, N, H, h), and no weights.
    """
    if packing is None:
        return _attend(query, key, value, attention_mask, dropout, scaling), None
    rows = [x[0].transpose(0, 1) for x in (query, key, value)]  # (N, H, h)
    results = []
    for group in packing.groups:
        size, steps = group.mask.shape[0], group.mask.shape[-1]
        q, k, v = (
            _Place.apply(x[group.pieces], group.places, size * steps)
            .unflatten(0, (size, steps))
            .transpose(1, 2)
            for x in rows
        )
        # Padding of the block attends to pieces too, but its results are not taken out again.
        block = _attend(q, k, v, group.mask, dropout, scaling)
        results.append(_Take.apply(block.flatten(0, 1), group.places))
    return torch.cat(results).unsqueeze(0), None


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float | None
) -> Tensor:
    """(B, T, H, h) of queries, keys and values (B, H, T, h)."""
    if dropout == 0:
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    else:  # the fused kernel knows no dropout on a processor, and draws slowly
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        logits = (query * scale) @ key.transpose(-1, -2)
        if mask is not None:
            logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        weights = drop(logits.softmax(dim=-1, dtype=torch.float32), dropout)
        attended = weights.to(value.dtype) @ value
    return attended.transpose(1, 2)


class _Place(torch.autograd.Function):
    """Rows (n, ...) at given places of (size, ...), zeros elsewhere. No place is given twice."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(size, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, *ctx.saved_tensors), None, None


class _Take(torch.autograd.Function):
    """The rows at given places; no place is given twice, so that the gradient is copied and not added."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = rows.shape
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy_(0, places, gradient), None
