"""Multimodal composite transformer (MCT): positions and pre-norm layers around MCA (paper eq. 6 and 13)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cider.model.architecture import Architecture
from cider.model.attention import AttentionLogits, CompositeAttention, VanillaAttention
from cider.model.masking import masks_of_blocks, zero_padding
from mer_data.text.dropout import Dropout

Blocks = tuple[Tensor, Tensor, Tensor]
_ATTENTIONS = {"composite": CompositeAttention, "vanilla": VanillaAttention}


def sinusoids(length: int, width: int) -> Tensor:
    """Sinusoidal positions (length, width): sines at even columns, cosines at odd ones, base 10000."""
    steps = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = steps * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


class CompositeLayer(nn.Module):
    """One layer: x + MCA(LN(x)), then x + FFN(LN(x)); other attention than MCA where that is compared."""

    def __init__(self, architecture: Architecture) -> None:
        """Build the layer; the feed-forward network has width 4d and a ReLU."""
        super().__init__()
        width = architecture.width
        self.residual_from_norm = architecture.residual_from_norm
        self.attention_norm = nn.LayerNorm(width)
        self.attention = _ATTENTIONS[architecture.fusion](
            width=width, heads=architecture.heads, dropout=architecture.attention_dropout
        )
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            Dropout(architecture.relu_dropout),
            nn.Linear(4 * width, width),
        )
        self.residual_dropout = Dropout(architecture.residual_dropout)

    def forward(
        self, x: Tensor, key_mask: Tensor, *, with_logits: bool = False
    ) -> tuple[Tensor, AttentionLogits | None]:
        """One step of the stack.

        Args:
            x: (B, 3T, d).
            key_mask: (B, T) bool, True at valid steps of each of the three blocks, or (B, 3, T).
            with_logits: also return the attention logits.

        Returns:
            (B, 3T, d), and the logits or None.
        """
        normed = self.attention_norm(x)
        attended, logits = self.attention(normed, key_mask, with_logits=with_logits)
        x = self.residual_dropout(attended) + (normed if self.residual_from_norm else x)
        normed = self.feed_norm(x)
        x = self.residual_dropout(self.feed(normed)) + (normed if self.residual_from_norm else x)
        return x, logits


class CompositeTransformer(nn.Module):
    """MCT: the steps of the three modalities, fused by N composite layers and a final LN.

    Step t of a block has the position t after the greatest lengths of the blocks before it (text, audio,
    vision): the layout of the paper's 3 * T_l steps, whatever the padding of the batch.
    """

    positions: Tensor

    def __init__(self, architecture: Architecture, *, lengths: tuple[int, int, int]) -> None:
        """Build N layers for text, audio and vision of at most ``lengths`` steps."""
        super().__init__()
        self.layers = nn.ModuleList(CompositeLayer(architecture) for _ in range(architecture.layers))
        self.final_norm = nn.LayerNorm(architecture.width)
        starts, longest = (0, lengths[0], lengths[0] + lengths[1]), max(lengths)
        table = sinusoids(starts[-1] + longest, architecture.width)
        positions = torch.stack([table[start : start + longest] for start in starts])
        self.register_buffer("positions", positions, persistent=False)

    def forward(
        self, blocks: Blocks, mask: Tensor, *, with_logits: bool = False
    ) -> tuple[Blocks, AttentionLogits | None]:
        """Fuse.

        Args:
            blocks: text, audio and vision, each (B, T, d), T at most the greatest length.
            mask: (B, T) bool, True at valid steps of each block, or (B, 3, T), one for each.
            with_logits: also return the tri logits of the last layer.

        Returns:
            Text, audio and vision (B, T, d), zero at padding, and the logits or None.
        """
        x = (torch.stack(blocks, dim=1) + self.positions[:, : mask.shape[-1]]).flatten(1, 2)
        logits = None
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x, logits = layer(x, mask, with_logits=with_logits and number == last)
        text, audio, vision = (
            zero_padding(block, valid)
            for block, valid in zip(self.final_norm(x).chunk(3, dim=1), masks_of_blocks(mask), strict=True)
        )
        return (text, audio, vision), logits
