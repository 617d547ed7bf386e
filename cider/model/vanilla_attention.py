"""Ordinary multi-head self-attention in the place of MCA: what paper Table V calls a vanilla transformer.

Letters as in MCA: B batch, H heads, T steps per modality, h head width, d = H * h.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from cider.model.attention import AttentionLogits
from cider.model.kernels.attention_tiles import attended_steps


class VanillaAttention(nn.Module):
    """One softmax over all 3T steps, with dropout on its weights, and one linear layer after it."""

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        """Build the layers.

        Args:
            width: d.
            heads: H, a divisor of d.
            dropout: on the weights, while training.
        """
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Tensor, key_mask: Tensor, *, with_logits: bool = False
    ) -> tuple[Tensor, AttentionLogits | None]:
        """Attend; arguments and results are those of `CompositeAttention`."""
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key, self.value)
        )
        valid = attended_steps(key_mask).expand(-1, 3, -1).flatten(1)
        attended = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=valid[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        output = self.out(attended.transpose(1, 2).flatten(2))
        return output, AttentionLogits(query, key) if with_logits else None
