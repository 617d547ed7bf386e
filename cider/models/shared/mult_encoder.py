"""The encoder of MulT: pre-norm attention within a modality, or from one modality to another.

After the facts that the models made of it have in common (docs/baselines.md). Two things differ from their
released code, where padding is attended to, and where a step counts as padding if its first feature is 0:
padding is known by lengths alone, takes no part in anything, and the future mask starts from the utterance's
own lengths. So an encoding is a function of the utterance alone.

Letters: B batch, T steps (Tq of queries, Tk of keys), d width, H heads, h = d / H.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cider.model.transformer import sinusoids
from cider.models.shared.steps import Steps
from mer_data.text.dropout import Dropout

#: Attention weights made at a time, 16 MiB of float32: what a step needs must not grow with B * Tq * Tk.
_WEIGHTS_AT_ONCE = 2**22


@dataclass(frozen=True)
class EncoderSettings:
    """Hyperparameters of an encoder, besides the width.

    Attributes:
        layers: L.
        heads: H, a divisor of the width.
        attention_dropout: on the attention's weights.
        embedding_dropout: on the scaled steps with their positions.
        relu_dropout: after the ReLU of the feed-forward network.
        residual_dropout: on what is added to a residual.
    """

    layers: int
    heads: int
    attention_dropout: float
    embedding_dropout: float
    relu_dropout: float
    residual_dropout: float


class MultAttention(nn.Module):
    """Multi-head attention whose weights are made again in the backward pass instead of kept."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        """Build the four projections, with bias.

        Raises:
            ValueError: if the heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, hidden: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: (B, Tq, d).
            keys: (B, Tk, d), of which the values are made too.
            hidden: (B, Tq, Tk), 0 where a query sees a key, minus infinity where not; each query sees one.

        Returns:
            (B, Tq, d).
        """
        projected = (self.query(queries), self.key(keys), self.value(keys))
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projected)
        rows = max(1, _WEIGHTS_AT_ONCE // (self.heads * query.shape[2] * key.shape[2]))
        parts = zip(*(x.split(rows) for x in (query, key, value, hidden)), strict=True)
        attended = [checkpoint(self._attend, *part, use_reentrant=False) for part in parts]
        return self.out(torch.cat(attended).transpose(1, 2).flatten(2))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor) -> Tensor:
        """(b, H, Tq, h) of queries (b, H, Tq, h), keys and values (b, H, Tk, h)."""
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-1, -2) + hidden.unsqueeze(1)
        return self.dropout(scores.softmax(dim=-1)) @ value


class MultLayer(nn.Module):
    """x + drop(MHA(LN1 x, LN1 k)), then x + drop(FFN(LN2 x)), FFN of width 4d with a ReLU: 12 d^2 + 13 d."""

    def __init__(self, width: int, settings: EncoderSettings) -> None:
        """Build the layer."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = MultAttention(width, heads=settings.heads, dropout=settings.attention_dropout)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            Dropout(settings.relu_dropout),
            nn.Linear(4 * width, width),
        )
        self.residual_dropout = Dropout(settings.residual_dropout)

    def forward(self, x: Tensor, keys: Tensor, hidden: Tensor) -> Tensor:
        """(B, Tq, d) of steps (B, Tq, d), keys (B, Tk, d) before their norm, see `MultAttention`."""
        attended = self.attention(self.attention_norm(x), self.attention_norm(keys), hidden)
        x = x + self.residual_dropout(attended)
        return x + self.residual_dropout(self.feed(self.feed_norm(x)))


class MultEncoder(nn.Module):
    """Scaled steps with sinusoidal positions, L layers, a final LN: L (12 d^2 + 13 d) + 2 d parameters."""

    positions: Tensor

    def __init__(self, width: int, settings: EncoderSettings, *, length: int) -> None:
        """Build the layers and the positions of at most ``length`` steps, keys included."""
        super().__init__()
        self.scale = math.sqrt(width)
        self.embedding_dropout = Dropout(settings.embedding_dropout)
        self.layers = nn.ModuleList(MultLayer(width, settings) for _ in range(settings.layers))
        self.final_norm = nn.LayerNorm(width)
        self.register_buffer("positions", sinusoids(length, width), persistent=False)

    def forward(self, steps: Steps, source: Steps | None = None) -> Steps:
        """Encode.

        Args:
            steps: to be encoded; they ask.
            source: what answers in every layer (another modality); None: the steps themselves.

        Returns:
            As many steps, (B, Tq, d).
        """
        seen = future_mask(steps, steps if source is None else source)
        # Added to scores, once for all heads and layers: cheaper than filling them.
        hidden = torch.zeros_like(seen, dtype=steps.values.dtype).masked_fill(~seen, -torch.inf)
        x = self._embed(steps)
        keys = None if source is None else self._embed(source)
        for layer in self.layers:
            x = layer(x, x if keys is None else keys, hidden)
        return steps.replaced(self.final_norm(x))

    def _embed(self, steps: Steps) -> Tensor:
        placed = self.scale * steps.values + self.positions[: steps.values.shape[1]]
        dropped: Tensor = self.embedding_dropout(placed)
        return dropped


def future_mask(queries: Steps, keys: Steps) -> Tensor:
    """(B, Tq, Tk) bool: query i sees key j if j is no padding and j <= i + |n_q - n_k|, n the own lengths.

    So the last query sees every key, and every query sees the first one.
    """
    device = queries.lengths.device
    ahead = (queries.lengths - keys.lengths).abs().view(-1, 1, 1)
    query = torch.arange(queries.values.shape[1], device=device).view(1, -1, 1)
    key = torch.arange(keys.values.shape[1], device=device).view(1, 1, -1)
    return (key <= query + ahead) & keys.mask.unsqueeze(1)
