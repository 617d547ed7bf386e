"""Auxiliary losses of DLF: modalities taken apart, and put together again.

All but the margin are means over utterances of what each has by itself: cutting a batch into parts changes
nothing. The margin compares the utterances of a part with each other.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cider.models.shared.steps import Steps


def mean_over_utterances(values: Tensor, steps: Steps) -> Tensor:
    """Mean of (B, T) over the steps of each utterance, then over the utterances."""
    per_utterance = values.masked_fill(~steps.mask, 0.0).sum(dim=1) / steps.lengths
    return per_utterance.mean()


def restored(found: Steps, wanted: Steps) -> Tensor:
    """Mean squared difference of two (B, T, d) at their steps."""
    return mean_over_utterances((found.values - wanted.values).square().mean(dim=-1), wanted)


def orthogonality(specific: Steps, shared: Steps) -> Tensor:
    """Mean over steps of max(0, cosine) of two (B, T, d); features that point apart cost nothing."""
    cosines = functional.cosine_similarity(specific.values, shared.values, dim=-1)
    return mean_over_utterances(cosines.relu(), specific)


def margin_loss(vectors: Tensor, classes: Tensor, margin: float) -> Tensor:
    """Vectors of one class are to be nearer than others, by a margin that grows with the classes' distance.

    For an anchor i, every positive p (another vector of its class) and every negative n (one of another
    class): max(0, margin |c_i - c_n| - cos(i, p) + cos(i, n)); mean over an anchor's pairs, then over the
    anchors that have any. The sum over pairs is formed from sorted cosines, so that N vectors take N^2
    numbers, not N^3.

    Args:
        vectors: (N, d).
        classes: (N,) int64 class indices, in the order of the sentiment.
        margin: per step from class to class.

    Returns:
        0-dimensional; 0 if all are of one class, or no class has two.
    """
    unit = functional.normalize(vectors, dim=-1)
    cosines = unit @ unit.T
    same = classes.unsqueeze(0) == classes.unsqueeze(1)
    positive = same & ~torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    # Of one negative's pairs, those cost something whose positive has a cosine below its threshold.
    thresholds = cosines + margin * (classes.unsqueeze(0) - classes.unsqueeze(1)).abs()
    rising = cosines.masked_fill(~positive, torch.inf).sort(dim=1).values
    below = torch.searchsorted(rising.detach(), thresholds.detach().contiguous())
    sums = functional.pad(rising.cumsum(dim=1), (1, 0)).gather(1, below)
    costs = (below * thresholds - sums).masked_fill(same, 0.0).sum(dim=1)
    pairs = positive.sum(dim=1) * (~same).sum(dim=1)
    return (costs / pairs.clamp(min=1)).sum() / (pairs > 0).sum().clamp(min=1)
