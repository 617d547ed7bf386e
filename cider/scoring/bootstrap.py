"""How sure a score is: bootstrap intervals over utterances and over videos, and McNemar's test of two runs.

Utterances of one video share a speaker and a topic, so they are not independent: an interval over utterances
is too narrow by what they have in common, and one that resamples whole videos (cluster bootstrap) is not.
Both are given. Letters: R resamples, N utterances, V videos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import RunError

LEVEL = 0.95
SEED = 0

Unit = Literal["utterances", "videos"]
UNITS: tuple[Unit, ...] = ("utterances", "videos")
Mask = NDArray[np.bool_]


def resample(videos: Sequence[str], unit: Unit, num: int, *, seed: int = SEED) -> NDArray[np.float64]:
    """How often each utterance is drawn, (R, N), when as many units as there are are drawn with replacement.

    Args:
        videos: the video of each utterance (N,).
        unit: what is drawn. A video brings all its utterances, so the number of utterances varies.
        num: R.
        seed: the same seed gives the same resamples, so that differences of runs are paired.
    """
    rng = np.random.default_rng(seed)
    if unit == "utterances":
        size = len(videos)
        return rng.multinomial(size, np.full(size, 1 / size), size=num).astype(np.float64)
    names, member = np.unique(np.asarray(videos), return_inverse=True)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=num)
    return draws[:, member].astype(np.float64)


def percentile_interval(values: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.float64]:
    """Percentile interval over the last axis of (..., R): (..., 2), low and high.

    Resamples in which a metric is undefined (NaN) are left out; without any other the interval is NaN.
    """
    tail = 100 * (1 - level) / 2
    undefined = np.isnan(values).all(axis=-1, keepdims=True)
    filled = np.where(undefined, 0.0, values)
    bounds = np.moveaxis(np.nanpercentile(filled, [tail, 100 - tail], axis=-1), 0, -1)
    return np.where(undefined, np.nan, bounds)


@dataclass(frozen=True)
class McNemar:
    """McNemar's test on the same utterances.

    Attributes:
        only_first: utterances that the first is right about and the second is not.
        only_second: the other way round.
        p_value: two-sided, of the exact binomial test.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first_right: Mask, second_right: Mask) -> McNemar:
    """Whether two runs are right equally often, from the utterances on which they differ.

    Under the null hypothesis each of the b + c utterances on which only one is right is a fair coin: the
    exact binomial probability of so uneven a result, or a more uneven one, at any size, without the
    chi-square approximation.

    Args:
        first_right: (N,) whether the first run is right.
        second_right: (N,) whether the second is.

    Raises:
        RunError: the numbers of utterances differ.
    """
    if np.shape(first_right) != np.shape(second_right):
        raise RunError(
            "two runs with different numbers of test utterances cannot be paired",
            found=len(second_right),
            expected=len(first_right),
        )
    b = int((first_right & ~second_right).sum())
    c = int((second_right & ~first_right).sum())
    ways = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    return McNemar(b, c, min(1.0, 2 * ways / 2 ** (b + c)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: p-values of several tests that together keep their error level."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
