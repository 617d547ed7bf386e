"""The seven attentions of MCA from one QK^T and one PV, forward and backward (paper eq. 7-12).

Letters: B batch, H heads, T steps per modality, h head width, R = 3 row blocks, K = 3 key blocks, A = 4
attentions per row block, N = heads of all utterances of a tile. Blocks are the modalities in the order text,
audio, vision. Of the seven attentions, four have a given modality among their rows: tri, its two pairs, uni.

Forward. For a row and a key block b: the row maximum m_b, W_b = exp(S - m_b), the mass s_b = sum W_b and the
weighted sum O_b = W_b V_b. For an attention over the blocks of a set A with L_A = log sum_b exp(m_b) s_b,

    out_A = sum_b beta_Ab O_b,   beta_Ab = exp(m_b - L_A) for b in A, 0 for others.

That is exact: the maxima keep exp in range and cancel, so seven softmaxes need one W and no masks.

Backward. The probabilities of A are beta_Ab W_b. With the gradient G_A of out_A and D_A = G_A . out_A,

    U_b = sum_A beta_Ab G_A,   c_b = sum_A beta_Ab D_A,
    dV_b = W_b^T U_b,   dS_b = W_b * (U_b V_b^T - c_b),   dQ = dS K,   dK = dS^T Q.

One pass again. W is computed anew from m_b: what is remembered grows with T, not with T * T (but for a byte
per Z, where there is dropout).

Dropout multiplies the probabilities of tri by Z / keep. Then tri leaves U_b (not c_b) for U'_b = beta_tri,b
G_tri / keep, and dV_b gains (W_b * Z)^T U'_b, dS_b gains W_b * Z * (U'_b V_b^T).

Operands have one more feature than a head, so that a product adds what would take a pass of its own: a one
next to V gives the mass, -c next to U its difference, and the mask next to K hides padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from cider.model.kernels.attention_tiles import (
    Tile,
    attended_steps,
    by_head,
    exp_,
    from_heads,
    logits,
    matrix,
    queries_and_keys,
    tiles,
    without_autocast,
    workspace_for,
)
from mer_data.text.dropout import draw_kept

#: The seven attentions and the blocks each has as rows and as keys, in the order of paper eq. 10.
ATTENTIONS: dict[str, range] = {
    "tri": range(3),
    "la": range(2),
    "lv": range(0, 3, 2),
    "av": range(1, 3),
    "l": range(1),
    "a": range(1, 2),
    "v": range(2, 3),
}
#: For each row block, its four attentions; tri is the first.
SLOTS = tuple(tuple(name for name, blocks in ATTENTIONS.items() if row in blocks) for row in range(3))
#: (K, A, R): -inf where a key block is not of an attention of a row block, else 0.
_EXCLUDED = tuple(
    tuple(
        tuple(0.0 if block in ATTENTIONS[slots[slot]] else -math.inf for slots in SLOTS) for slot in range(4)
    )
    for block in range(3)
)


def composite_attention(qkv: Tensor, key_mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """The seven attentions, computed in float32 where the input has less.

    Args:
        qkv: (B, 3T, 3, H, h) queries, keys and values.
        key_mask: (B, T) bool, True at valid steps, shared by the three blocks, or (B, 3, T), one for each.
            What has no valid key (an attention over empty blocks, or an utterance without any step) attends
            to padding: finite, and meaningless.
        dropout: probability of dropping a weight of tri; the other six never drop.

    Returns:
        (R, B, T, H, A, h): for the rows of each block the four attentions of ``SLOTS``. Zero at rows after
        the last valid step of the utterance and of those it shares a tile with.
    """
    wide = qkv if qkv.dtype == torch.float64 else qkv.float()
    attended: Tensor = _Composite.apply(wide, key_mask, dropout)
    return attended.to(qkv.dtype)


class Operands(NamedTuple):
    """Operands of the products of a tile.

    Attributes:
        q: (N, h+1, 3t) scaled queries, and ones.
        k: (N, h+1, 3t) keys, and 0 or at padding a large negative number.
        v: (N*K, h+1, t) values, and ones.
    """

    q: Tensor
    k: Tensor
    v: Tensor

    @classmethod
    def from_qkv(cls, qkv: Tensor, valid: Tensor, tile: Tile) -> Operands:
        """Return those of the utterances of a tile; qkv (B, 3T, 3, H, h), valid (B, 1 or 3, T)."""
        query, key, value = qkv.unbind(dim=2)
        v = by_head(value, tile, 1.0).unflatten(2, (3, -1)).transpose(1, 2).flatten(0, 1)
        return cls(*queries_and_keys(query, key, valid, tile), v)

    def weigh(self, weights: Tensor) -> Tensor:
        """Values, and ones, summed over the keys of each block by weights (N, 3t, 3t); (N, K, h+1, 3t)."""
        return torch.bmm(self.v, _by_block(weights)).unflatten(0, (-1, 3))


class _Composite(torch.autograd.Function):
    """`composite_attention` in the precision of its input."""

    @staticmethod
    @without_autocast
    def forward(ctx: Any, qkv: Tensor, key_mask: Tensor, dropout: float) -> Tensor:
        heads, width = qkv.shape[-2:]
        valid = attended_steps(key_mask)
        result = qkv.new_zeros(3, len(qkv), valid.shape[-1], heads, 4, width)
        ctx.tiles = tiles(valid.any(dim=1), heads)
        ctx.scale, saved = 1.0, []
        workspace = workspace_for(ctx.tiles, qkv)
        for tile in ctx.tiles:
            one = Operands.from_qkv(qkv, valid, tile)
            weights = logits(one.q, one.k, workspace)
            # One maximum per key block, not per attention: seven softmaxes then share one exp.
            peak = weights.unflatten(1, (3, -1)).amax(dim=2)
            _exp_less_peak_(weights, peak)
            summed = one.weigh(weights)
            beta = _beta(peak, summed[:, :, width])
            merged = _sum_of_products(
                (beta[:, block, :, None], summed[:, block, None, :width]) for block in range(3)
            )
            saved += [peak, beta]
            if dropout > 0:
                kept, ctx.scale = draw_kept(tuple(weights.shape), dropout, qkv.device)
                dropped = one.weigh(weights.mul_(kept))[:, :, :width]
                merged[:, 0] = (beta[:, :, 0, None] * dropped).sum(dim=1).mul_(ctx.scale)
                saved.append(kept)
            rows = merged.view(-1, heads, 4, width, 3, tile.steps).permute(4, 0, 5, 1, 2, 3)
            result[:, :, : tile.steps].index_copy_(1, tile.members, rows)
        ctx.save_for_backward(qkv, valid, result, *saved)
        return result

    @staticmethod
    @once_differentiable
    @without_autocast
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        qkv, valid, result, *saved = ctx.saved_tensors
        per_tile = len(saved) // len(ctx.tiles)
        gradients = torch.zeros_like(qkv)
        workspaces = [workspace_for(ctx.tiles, qkv) for _ in range(2)]
        for number, tile in enumerate(ctx.tiles):
            peak, beta, *kept = saved[number * per_tile : (number + 1) * per_tile]
            one = Operands.from_qkv(qkv, valid, tile)
            # Computed anew: keeping W would take memory that grows with T * T.
            weights = _exp_less_peak_(logits(one.q, one.k, workspaces[0]), peak)
            of_slots = _of_slots(gradient, result, tile)
            parts = _gradients(one, weights, workspaces[1], beta, of_slots, kept, ctx.scale)
            for kind, values in enumerate(parts):
                from_heads(values, tile, gradients[:, :, kind])
        return gradients, None, None


def _gradients(
    one: Operands,
    weights: Tensor,
    workspace: Tensor,
    beta: Tensor,
    of_slots: Tensor,
    kept: list[Tensor],
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """dQ, dK (N, h, 3t) and dV (N, h, K, t) of a tile; changes weights and ``of_slots``.

    Args:
        one: of the tile.
        weights: W, (N, 3t, 3t).
        workspace: for dS.
        beta: (N, K, A, 3t).
        of_slots: G_A and -D_A, (N, A, h+1, 3t).
        kept: Z (N, 3t, 3t) if tri has dropped.
        scale: 1 / keep.
    """
    width = of_slots.shape[2] - 1
    of_tri = (beta[:, :, 0, None] * of_slots[:, None, 0, :width]).mul_(scale).flatten(0, 1) if kept else None
    if kept:
        of_slots[:, 0, :width] = 0  # tri leaves U for U', but not c: D_A stays in the last row
    upstream = _sum_of_products((beta[:, :, slot, None], of_slots[:, None, slot]) for slot in range(4))
    upstream = upstream.flatten(0, 1)
    change = matrix(workspace, one.q)
    torch.bmm(one.v.transpose(1, 2), upstream, out=_by_block(change))
    change.mul_(weights)
    dv = torch.bmm(upstream[:, :width], _by_block(weights).transpose(1, 2))
    if of_tri is not None:
        weights.mul_(kept[0])
        dv.baddbmm_(of_tri, _by_block(weights).transpose(1, 2))
        change.addcmul_(weights, torch.bmm(one.v[:, :width].transpose(1, 2), of_tri).view_as(weights))
    dq = torch.bmm(one.k[:, :width], change).div_(math.sqrt(width))
    dk = torch.bmm(one.q[:, :width], change.transpose(1, 2))
    return dq, dk, dv.unflatten(0, (-1, 3)).transpose(1, 2)


def _exp_less_peak_(matrix: Tensor, peak: Tensor) -> Tensor:
    """exp(S - m_b) in place, (N, 3t, 3t), of the peaks (N, K, 3t)."""
    matrix.unflatten(1, (3, -1)).sub_(peak.unsqueeze(2))
    return exp_(matrix)


def _by_block(matrix: Tensor) -> Tensor:
    """A matrix (N, 3t, 3t), keys by rows, as one per key block (N*K, t, 3t)."""
    return matrix.view(3 * len(matrix), -1, matrix.shape[-1])


def _beta(peak: Tensor, mass: Tensor) -> Tensor:
    """Return the weights of O_b in each attention, (N, K, A, 3t), of m_b and s_b (N, K, 3t)."""
    excluded = torch.tensor(_EXCLUDED, dtype=peak.dtype, device=peak.device).unsqueeze(-1)
    by_row = peak.unflatten(-1, (3, -1)).unsqueeze(2)
    shares = torch.add(by_row, excluded).flatten(-2)
    exp_(shares.sub_(shares.amax(dim=1, keepdim=True)))
    return shares.div_(
        _sum_of_products((shares[:, block], mass[:, block, None]) for block in range(3))[:, None]
    )


def _of_slots(gradient: Tensor, result: Tensor, tile: Tile) -> Tensor:
    """G_A and -D_A (N, A, h+1, 3t) of a tile."""
    shape = (-1, *result.shape[3:], 3, tile.steps)
    g, out = (
        x[:, :, : tile.steps].index_select(1, tile.members).permute(1, 3, 4, 5, 0, 2).reshape(shape)
        for x in (gradient, result)
    )
    both = g.new_empty(*g.shape[:3], g.shape[3] + 1, *g.shape[4:])
    both[:, :, :, :-1] = g
    both[:, :, :, -1] = g.mul_(out).sum(dim=3).neg_()
    return both.view(-1, *both.shape[2:4], 3 * tile.steps)


def _sum_of_products(factors: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    first, *rest = factors
    total = first[0] * first[1]
    for one, other in rest:
        total.addcmul_(one, other)
    return total
