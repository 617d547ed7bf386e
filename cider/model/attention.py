"""Multimodal composite attention (MCA): shared projections, seven attentions, linear layers (paper eq. 7-12).

Letters: B batch, H heads, T steps per modality, h head width, d = H * h, R = 3 row blocks, A = 4 attentions
per row block. Blocks are the modalities in the order text, audio, vision; a row or key is block * T + step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cider.model.kernels.attention_tiles import attended_steps
from cider.model.kernels.composite_kernel import ATTENTIONS, SLOTS, composite_attention

MODALITIES = ("l", "a", "v")


@dataclass(frozen=True)
class AttentionLogits:
    """S = QK^T / sqrt(h), scaled but neither masked nor normalised, by what it is the product of.

    A matrix of 3T x 3T values per head is large. Who needs them makes as many at a time as a cache holds.

    Attributes:
        query: (B, 3T, H, h).
        key: (B, 3T, H, h).
    """

    query: Tensor
    key: Tensor

    def matrix(self) -> Tensor:
        """All values, (B, H, 3T, 3T)."""
        query, key = self.query.transpose(1, 2), self.key.transpose(1, 2)
        return query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])

    def detach(self) -> AttentionLogits:
        """Return the same values as constants."""
        return AttentionLogits(self.query.detach(), self.key.detach())


class CompositeAttention(nn.Module):
    """MCA: projections, the seven attentions, a linear layer for each, for each modality, and for all."""

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
    ) -> tuple[Tensor, AttentionLogits | None]:
        """Attend.

        Args:
            x: (B, 3T, d), finite everywhere.
            key_mask: (B, T) bool, True at valid steps of the three blocks, or (B, 3, T), one for each. Rows
                at padding come out finite and mean nothing.
            with_logits: also return the logits.

        Returns:
            The output (B, 3T, d), and the logits or None.
        """
        projections = _stacked([self.query, self.key, self.value]).flatten(0, 1)
        qkv = functional.linear(x, projections[:, :-1], projections[:, -1])
        qkv = qkv.unflatten(-1, (3, self.heads, -1))
        attended = composite_attention(qkv, key_mask, dropout=self.dropout if self.training else 0.0)
        weight, bias = self._composed()
        output = torch.baddbmm(bias, attended.flatten(1, 2).flatten(2), weight)
        output = output.unflatten(1, (len(x), -1)).transpose(0, 1).flatten(1, 2)
        query, key, _ = qkv.unbind(dim=2)
        return output, AttentionLogits(query, key) if with_logits else None

    def _composed(self) -> tuple[Tensor, Tensor]:
        """The linear layers after the attentions, as one per row block.

        Returns:
            Weights (R, H * A * h, d) for the features as they come out of the kernel, and biases (R, 1, d).
        """
        with torch.autocast(self.out.weight.device.type, enabled=False):
            after = _stacked([self.after_attention[name] for names in SLOTS for name in names])
            merge = _stacked([self.merge[modality] for modality in MODALITIES])
            by_slot = merge[..., :-1].unflatten(2, (4, -1)).transpose(1, 2)  # (R, A, d, d)
            merged = by_slot @ after.unflatten(0, (3, 4))  # (R, A, d, d + 1)
            bias = self.out(merged[..., -1].sum(dim=1) + merge[..., -1])
            weight = (self.out.weight @ merged[..., :-1]).unflatten(-1, (self.heads, -1))
        return weight.permute(0, 3, 1, 4, 2).flatten(1, 3), bias.unsqueeze(1)


class VanillaAttention(nn.Module):
    """Multi-head self-attention in place of MCA, the vanilla transformer of paper Table V.

    One softmax over all 3T steps, with dropout on its weights, and one linear layer after it.
    """

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


def _stacked(layers: list[nn.Module]) -> Tensor:
    """Weights of n linear layers (d out, d in), each with its bias as last column: (n, d out, d in + 1)."""
    return torch.stack(
        [
            torch.cat([layer.get_parameter("weight"), layer.get_parameter("bias").unsqueeze(1)], dim=1)
            for layer in layers
        ]
    )
