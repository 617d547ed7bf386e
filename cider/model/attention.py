"""Multimodal composite attention (MCA): seven attentions from one QK^T and one PV (paper eq. 7-12).

Letters: B batch, H heads, T steps per modality, h head width, d = H * h, K = 3 key blocks, R = 3 row blocks.
Blocks are the modalities in the order text, audio, vision: row or key number = block * T + step.

A softmax over a union of key blocks follows exactly from three partial results per block: the row maximum
m_b, the mass s_b = sum exp(S - m_b), and the weighted sum O_b = exp(S - m_b) V_b. With M = max m_b over the
union it is sum_b exp(m_b - M) O_b / sum_b exp(m_b - M) s_b. So the seven attentions need neither masks nor
products of their own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

MODALITIES = ("l", "a", "v")
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


def block_logits(q: Tensor, k: Tensor) -> Tensor:
    """S = QK^T / sqrt(h), one product, stored by key block.

    Args:
        q: (B, H, 3T, h).
        k: (B, H, 3T, h).

    Returns:
        (B, H, K, 3T, T): for each key block, all rows by the T keys of the block.
    """
    scaled = q / math.sqrt(q.shape[-1])
    return scaled.unsqueeze(2) @ k.unflatten(2, (3, -1)).transpose(-1, -2)


def rows_by_keys(logits: Tensor) -> Tensor:
    """Logits by key block (B, H, K, 3T, T) as the usual matrix (B, H, 3T, 3T)."""
    return logits.transpose(2, 3).flatten(3)


def attend(logits: Tensor, v: Tensor, key_mask: Tensor, *, tri_dropout: float = 0.0) -> dict[str, Tensor]:
    """The seven attentions of given logits.

    Args:
        logits: (B, H, K, 3T, T) from ``block_logits``.
        v: (B, H, 3T, h) values.
        key_mask: (B, T) bool, True at valid keys, shared by the three blocks. An utterance without valid keys
            gets a finite mean of its values.
        tri_dropout: probability of dropping a tri attention weight; the other six never drop. It costs a
            second PV.

    Returns:
        By name in ``ATTENTIONS``: (B, H, n * T, h), the rows of the n modalities of that attention.
    """
    # A finite fill keeps rows without valid keys free of NaN.
    filled = logits.masked_fill(~key_mask[:, None, None, None], torch.finfo(logits.dtype).min)
    # The maxima only keep exp() in range and cancel in every result: no gradient has to pass through them.
    peak = filled.detach().amax(dim=-1, keepdim=True)
    weights = (filled - peak).exp()
    mass = weights.sum(dim=-1, keepdim=True)
    v_blocks = v.unflatten(2, (3, -1))
    summed = weights @ v_blocks

    peak_rows, mass_rows, summed_rows = (x.unflatten(3, (3, -1)) for x in (peak, mass, summed))
    results = {}
    for name, members in ATTENTIONS.items():
        blocks = slice(members.start, members.stop, members.step)
        at = (slice(None), slice(None), blocks, blocks)
        shares = _shares(peak_rows[at])
        merged = (shares * summed_rows[at]).sum(dim=2) / (shares * mass_rows[at]).sum(dim=2)
        results[name] = merged.flatten(2, 3)

    if tri_dropout > 0:
        shares = _shares(peak)
        probabilities = weights * (shares / (shares * mass).sum(dim=2, keepdim=True))
        dropped = functional.dropout(probabilities, tri_dropout, training=True)
        results["tri"] = (dropped @ v_blocks).sum(dim=2)
    return results


def composite_attention(q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor) -> dict[str, Tensor]:
    """The seven attentions of queries, keys and values (B, H, 3T, h); see ``attend`` for mask and result."""
    return attend(block_logits(q, k), v, key_mask)


def _shares(peak: Tensor) -> Tensor:
    """exp(m_b - M), what each key block (axis 2) counts in the union."""
    return (peak - peak.amax(dim=2, keepdim=True)).exp()


class CompositeAttention(nn.Module):
    """MCA: shared projections, seven attentions, the linear layers that join them (paper eq. 7-12)."""

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        """Build the layers.

        Args:
            width: d.
            heads: H, a divisor of d.
            dropout: on the tri attention's weights, while training.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.after_attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ATTENTIONS})
        self.merge = nn.ModuleDict({modality: nn.Linear(4 * width, width) for modality in MODALITIES})
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, key_mask: Tensor, *, with_logits: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            x: (B, 3T, d), finite everywhere.
            key_mask: (B, T) bool, True at valid steps. Rows at padding come out finite and mean nothing.
            with_logits: also return the logits.

        Returns:
            The output (B, 3T, d), and S (B, H, 3T, 3T), scaled but neither masked nor normalised, or None.
        """
        logits = block_logits(self._split(self.query(x)), self._split(self.key(x)))
        attended = attend(
            logits,
            self._split(self.value(x)),
            key_mask,
            tri_dropout=self.dropout if self.training else 0.0,
        )
        mapped = {
            name: self.after_attention[name](result.transpose(1, 2).flatten(2)).unflatten(
                1, (len(ATTENTIONS[name]), -1)
            )
            for name, result in attended.items()
        }
        merged = []
        for block, modality in enumerate(MODALITIES):
            parts = [
                mapped[name][:, blocks.index(block)] for name, blocks in ATTENTIONS.items() if block in blocks
            ]
            merged.append(self.merge[modality](torch.cat(parts, dim=-1)))
        output = self.out(torch.cat(merged, dim=1))
        return output, rows_by_keys(logits) if with_logits else None

    def _split(self, x: Tensor) -> Tensor:
        """(B, 3T, d) to (B, H, 3T, h)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
