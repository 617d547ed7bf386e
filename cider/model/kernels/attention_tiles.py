"""Attention logits in tiles that fit into a processor's cache: shared by MCA and its distillation loss.

Letters: B batch, H heads, T steps per modality, h head width, n utterances of a tile, t steps of the longest
of them, N = n * H.

Utterances are taken in tiles of similar length, cut to the longest of the tile. Matrices are stored keys by
rows: products with something as thin as a head are several times faster that way round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

#: Logits of a tile: a few MiB on a processor, the whole batch as a rule elsewhere.
_TILE = {"cpu": 2**20}
_TILE_ELSEWHERE = 2**26
_HIDDEN = -1e30
_LOG2_E = math.log2(math.e)

P = ParamSpec("P")
R = TypeVar("R")


class Tile(NamedTuple):
    """Utterances (n,) by their number in the batch, and the steps of the longest."""

    members: Tensor
    steps: int


def attended_steps(key_mask: Tensor) -> Tensor:
    """The steps that attention looks at: all steps of an utterance that has no valid one.

    Args:
        key_mask: (B, T) bool, shared by the three blocks, or (B, 3, T), one for each.

    Returns:
        (B, M, T) with M 1 or 3.
    """
    by_block = key_mask if key_mask.ndim == 3 else key_mask.unsqueeze(1)
    return by_block | ~by_block.flatten(1).any(dim=1)[:, None, None]


def tiles(key_mask: Tensor, heads: int) -> list[Tile]:
    """All utterances, the longest first, as many at a time as fit (at least one)."""
    ends = torch.arange(1, key_mask.shape[1] + 1, device=key_mask.device)
    lengths, order = (ends * key_mask).amax(dim=1).sort(descending=True, stable=True)
    ordered = lengths.tolist()
    most = _TILE.get(key_mask.device.type, _TILE_ELSEWHERE)
    found, start = [], 0
    while start < len(ordered):
        # The longest comes first, so its length is the tile's: little of the tile is padding.
        steps = max(1, ordered[start])
        # 3 blocks of rows by 3 of keys: 9 t^2 logits per head and utterance.
        stop = start + max(1, most // (heads * 9 * steps**2))
        found.append(Tile(order[start:stop], steps))
        start = stop
    return found


def exp_(x: Tensor) -> Tensor:
    """exp in place: exp2 is vectorised on every processor, exp is not."""
    return x.mul_(_LOG2_E).exp2_()


def by_head(x: Tensor, tile: Tile, last: float | Tensor) -> Tensor:
    """A tile of (B, 3T, H, h) with an extra feature, (N, h+1, 3t); ``last`` is broadcast to (n, H, 3, t)."""
    by_step = x.index_select(0, tile.members).unflatten(1, (3, -1))[:, :, : tile.steps]
    heads, width = x.shape[2:]
    packed = x.new_empty(len(tile.members), heads, width + 1, 3, tile.steps)
    packed[:, :, :width] = by_step.permute(0, 3, 4, 1, 2)
    packed[:, :, width] = last
    return packed.view(-1, width + 1, 3 * tile.steps)


def from_heads(gradient: Tensor, tile: Tile, into: Tensor) -> None:
    """Put (N, h, 3t) in its place in (B, 3T, H, h)."""
    heads, width = into.shape[2:]
    values = gradient.reshape(len(tile.members), heads, width, 3, tile.steps).permute(0, 3, 4, 1, 2)
    into.unflatten(1, (3, -1))[:, :, : tile.steps].index_copy_(0, tile.members, values)


def queries_and_keys(query: Tensor, key: Tensor, valid: Tensor, tile: Tile) -> tuple[Tensor, Tensor]:
    """``Operands.q`` and ``Operands.k`` of queries and keys (B, 3T, H, h); valid (B, 1 or 3, T)."""
    q = by_head(query, tile, 1.0)
    q[:, :-1] /= math.sqrt(query.shape[-1])
    return q, by_head(key, tile, _HIDDEN * ~valid[tile.members, None, :, : tile.steps])


def logits(q: Tensor, k: Tensor, workspace: Tensor) -> Tensor:
    """S of a tile, keys by rows (N, 3t, 3t), in the workspace; far below every other at padded keys."""
    return torch.bmm(k.transpose(1, 2), q, out=matrix(workspace, q))


def workspace_for(some_tiles: list[Tile], like: Tensor) -> Tensor:
    """Memory for the largest matrix of any tile; ``like`` is (..., H, h)."""
    largest = max(len(tile.members) * tile.steps**2 for tile in some_tiles)
    return like.new_empty(9 * like.shape[-2] * largest)


def matrix(workspace: Tensor, q: Tensor) -> Tensor:
    """A matrix (N, 3t, 3t) in the workspace, for queries (N, h+1, 3t)."""
    shape = (len(q), q.shape[2], q.shape[2])
    return workspace[: math.prod(shape)].view(shape)


def without_autocast(function: Callable[P, R]) -> Callable[P, R]:
    """For the halves of an autograd function: products stay in the precision of their operands."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        device = next(arg.device for arg in args if isinstance(arg, Tensor))
        with torch.autocast(device.type, enabled=False):
            return function(*args, **kwargs)

    return wrapped
