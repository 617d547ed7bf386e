"""Multimodal composite transformer (MCT): positions and pre-norm layers around MCA (paper eq. 6 and 13)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cider.model.attention import AttentionLogits, CompositeAttention
from cider.model.masking import zero_padding
from cider.model.shapes import Architecture
from mer_data.dropout import Dropout
from mer_data.errors import MerDataError

Blocks = tuple[Tensor, Tensor, Tensor]


def sinusoids(length: int, width: int) -> Tensor:
    """Sinusoidal positions (length, width): sines at even columns, cosines at odd ones, base 10000."""
    steps = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = steps * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width].float()


class CompositeLayer(nn.Module):
    """One layer: x + MCA(LN(x)), then x + FFN(LN(x))."""

    def __init__(self, architecture: Architecture) -> None:
        """Build the layer; the feed-forward network has width 4d and a ReLU."""
        super().__init__()
        width = architecture.width
        self.residual_from_norm = architecture.residual_from_norm
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CompositeAttention(
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
            key_mask: (B, T) bool, True at valid steps of each of the three blocks.
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
    """MCT: the three modalities on the steps of the text, fused by N composite layers and a final LN.

    Step t of block m (text 0, audio 1, vision 2) has position m * text_length + t, with the fixed greatest
    length: the layout of the paper's 3 * T_l steps, whatever the padding of the batch.
    """

    positions: Tensor

    def __init__(self, architecture: Architecture, *, text_length: int) -> None:
        """Build N layers for at most ``text_length`` steps per modality."""
        super().__init__()
        self.text_length = text_length
        self.layers = nn.ModuleList(CompositeLayer(architecture) for _ in range(architecture.layers))
        self.final_norm = nn.LayerNorm(architecture.width)
        table = sinusoids(3 * text_length, architecture.width).unflatten(0, (3, text_length))
        self.register_buffer("positions", table, persistent=False)

    def forward(
        self, blocks: Blocks, mask: Tensor, *, with_logits: bool = False
    ) -> tuple[Blocks, AttentionLogits | None]:
        """Fuse.

        Args:
            blocks: text, audio and vision, each (B, T, d).
            mask: (B, T) bool, True at valid text steps.
            with_logits: also return the tri logits of the last layer.

        Returns:
            Text, audio and vision (B, T, d), zero at padding, and the logits or None.

        Raises:
            MerDataError: if the batch has more steps than ``text_length``.
        """
        steps = mask.shape[1]
        if steps > self.text_length:
            raise MerDataError(
                "a batch has more word pieces than the model was built for",
                found=steps,
                expected=f"at most {self.text_length}",
                do="Build the store with that limit, or the model with a greater text_length",
            )
        x = (torch.stack(blocks, dim=1) + self.positions[:, :steps]).flatten(1, 2)
        logits = None
        last = len(self.layers) - 1
        for number, layer in enumerate(self.layers):
            x, logits = layer(x, mask, with_logits=with_logits and number == last)
        text, audio, vision = (zero_padding(block, mask) for block in self.final_norm(x).chunk(3, dim=1))
        return (text, audio, vision), logits
