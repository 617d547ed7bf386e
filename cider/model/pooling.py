"""From steps to one vector per utterance: naive attention and the joint head (paper eq. 14 and 15)."""

from __future__ import annotations

from torch import Tensor, nn

from cider.model.masking import masked_softmax
from mer_data.text.dropout import Dropout


class AttentivePooling(nn.Module):
    """Naive attention (NA): softmax over time of Linear(tanh(Linear(h))), weighted sum (paper eq. 14)."""

    def __init__(self, width: int) -> None:
        """Build the two linear layers for steps of ``width`` features."""
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool (B, T, d) over the steps where ``mask`` (B, T) is True; (B, d), zeros where there is none."""
        scores = self.score(self.hidden(x).tanh()).squeeze(-1)
        weights = masked_softmax(scores, mask)
        return (weights.unsqueeze(1) @ x).squeeze(1)


class JointHead(nn.Module):
    """h_m = g + Linear(dropout(ReLU(Linear(g)))), g the three pooled modalities (paper eq. 15)."""

    def __init__(self, width: int, dropout: float) -> None:
        """Build the two linear layers; ``width`` is 3d."""
        super().__init__()
        self.change = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, pooled: Tensor) -> Tensor:
        """h_m (B, 3d) of the pooled modalities (B, 3d)."""
        return pooled + self.change(pooled)
