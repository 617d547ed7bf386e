"""Word-level self-aligned attention (WSAM): frames brought onto the steps of the text (paper eq. 4)."""

from __future__ import annotations

import math

from torch import Tensor, nn

from cider.model.masking import masked_softmax, zero_padding


class WordAlignment(nn.Module):
    """One-head attention with text as query and the frames of one other modality as key and value."""

    def __init__(self, width: int) -> None:
        """Build the four projections, width d to d, with bias."""
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, text: Tensor, frames: Tensor, query_mask: Tensor, frame_mask: Tensor) -> Tensor:
        """Align.

        Args:
            text: (B, T_l, d) projected text.
            frames: (B, S, d) projected frames; S may be 0.
            query_mask: (B, T_l) bool, True at word pieces, False at padding, [CLS] and [SEP].
            frame_mask: (B, S) bool, True at frames.

        Returns:
            (B, T_l, d). Rows outside ``query_mask``, and all rows of an utterance without frames, are the
            output projection of zero.
        """
        scores = self.query(text) @ self.key(frames).transpose(1, 2) / math.sqrt(text.shape[-1])
        weights = masked_softmax(scores, frame_mask.unsqueeze(1))
        return self.out(zero_padding(weights @ self.value(frames), query_mask))
