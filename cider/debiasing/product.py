"""Product of experts and learned mixin: training together with a bias model, and testing without it.

The bias model knows the class from a few words alone. Where it is right, the product is right without the
model, so the model learns from the utterances where those words mislead (Hinton 2002; Clark et al. 2019; He
et al. 2019). At test the model answers alone: nothing is subtracted, and nothing is chosen.

Letters: B batch, C classes, h width of the joint representation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_PROBABILITY = 1e-6
"""Of a class that the bias model excludes: its logarithm has to be finite."""


def log_bias(probabilities: Tensor, prior: Tensor) -> Tensor:
    """Return log p_b(y|x) - log prior(y), (B, C): what the words add to knowing how frequent a class is.

    Without the division by the prior, the model would be taught that frequent classes are rare: the product
    has the prior twice, once from each expert.

    Args:
        probabilities: of the bias model (B, C).
        prior: share of each class in training (C,).
    """
    return probabilities.clamp_min(SMALLEST_PROBABILITY).log() - prior.clamp_min(SMALLEST_PROBABILITY).log()


def product_of_experts(log_probabilities: Tensor, bias: Tensor) -> Tensor:
    """Return the log probabilities (B, C) of softmax(log p(y|x) + bias).

    Args:
        log_probabilities: log p(y|x) of the model (B, C).
        bias: of ``log_bias`` (B, C); a row of equal numbers changes nothing.
    """
    return functional.log_softmax(log_probabilities + bias, dim=-1)


class LearnedMixin(nn.Module):
    """How much of the bias to believe, by utterance: softplus(w h + b) times the bias (Clark et al. 2019).

    Left to itself the scale would go to 0, where the bias explains nothing and the model everything. The
    penalty is the entropy of the scaled bias, so that it keeps saying something.
    """

    def __init__(self, width: int) -> None:
        """Start at the scale softplus(0.54) = 1, which is the product of experts.

        Args:
            width: h.
        """
        super().__init__()
        self.scale = nn.Linear(width, 1)
        nn.init.zeros_(self.scale.weight)
        nn.init.constant_(self.scale.bias, 0.5413)  # softplus of it is 1

    def forward(self, joint: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Scale the bias.

        Args:
            joint: representation of the utterances (B, h).
            bias: of ``log_bias`` (B, C).

        Returns:
            The scaled bias (B, C), and the entropy in nats of its softmax for each utterance (B,).
        """
        scaled = functional.softplus(self.scale(joint)) * bias
        log_shares = functional.log_softmax(scaled, dim=-1)
        return scaled, -(log_shares.exp() * log_shares).sum(dim=-1)


def worst_group_weights(weights: Tensor, losses: Tensor, present: Tensor, *, step_size: float) -> Tensor:
    """Return the weights of groups after one step of group DRO (Sagawa et al. 2020, algorithm 1).

    A group with a greater loss gains weight; one that the batch does not have keeps its own.

    Args:
        weights: of the groups (G,), summing to 1.
        losses: mean loss of each group in the batch (G,), anything where absent.
        present: which groups the batch has (G,).
        step_size: of the exponentiated gradient.
    """
    moved = weights * torch.where(present, step_size * losses.detach(), 0.0).exp()
    return moved / moved.sum()
