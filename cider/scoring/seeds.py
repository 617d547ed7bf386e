"""How sure a score or a difference is over training seeds and test utterances together.

Intervals over test videos are of the networks that were trained: they do not contain what other seeds would
give, which is 2 to 3 points of Acc2 on CMU-MOSI. Here seeds and videos are resampled together (hierarchical
bootstrap), and the spread of the resamples becomes a t interval, because a handful of seeds says little of
its own spread.

Letters: S seeds, R resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cider.scoring.bootstrap import LEVEL, SEED

POWER = 0.8
MOST_SEEDS = 1000
"""Where more would be needed, the observed difference is as good as none."""


@dataclass(frozen=True)
class SeedInterval:
    """A mean over seeds and how sure it is.

    Attributes:
        mean: over the seeds.
        low: lower end of the interval at `LEVEL`.
        high: upper end.
        num_seeds: S; with one seed the interval is over test utterances alone.
        deviation: sample standard deviation over the seeds; NaN with one. Of paired differences it is the
        paired
            deviation.
    """

    mean: float
    low: float
    high: float
    num_seeds: int
    deviation: float

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds would show a mean of this size, see `seeds_needed`; None with one seed."""
        return None if self.num_seeds == 1 else seeds_needed(self.mean, self.deviation)

    @property
    def shows_a_difference(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        deviation = None if math.isnan(self.deviation) else self.deviation
        return {**vars(self), "deviation": deviation, "seeds_needed": self.seeds_needed}


def seed_interval(
    scores: NDArray[np.float64], resampled: NDArray[np.float64], *, seed: int = SEED
) -> SeedInterval:
    """Interval of a mean over seeds that contains the spread of seeds and of test utterances.

    Every resample draws S - 1 of the S seeds with replacement and takes their scores on its own draw of
    utterances. With S draws the spread of the seeds would come out too small by (S - 1) / S (Rao and Wu
    1988). The interval is the mean ± t times the deviation of the resamples, with the degrees of freedom of
    Welch and Satterthwaite: S - 1 where seeds make all of the spread, many where utterances do.

    Args:
        scores: of every seed on the test fold (S,); for paired differences, the difference of every seed.
        resampled: the same on R resamples of the test utterances (S, R), the same resamples for every seed.
        seed: of the draws of seeds.
    """
    num_seeds, num_resamples = resampled.shape
    mean = float(scores.mean())
    if num_seeds == 1:
        spread, quantile, deviation = float(np.std(resampled[0])), _normal_quantile(), math.nan
        reach = quantile * spread
        return SeedInterval(mean, mean - reach, mean + reach, 1, deviation)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, num_seeds, (num_resamples, num_seeds - 1))
    means = np.take_along_axis(resampled.T, drawn, axis=1).mean(axis=1)
    deviation = float(scores.std(ddof=1))
    of_seeds, total = deviation**2 / num_seeds, float(means.var())
    freedom = math.inf if of_seeds == 0 else max(1.0, total**2 / (of_seeds**2 / (num_seeds - 1)))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(total)
    return SeedInterval(mean, mean - reach, mean + reach, num_seeds, deviation)


def seeds_needed(mean: float, deviation: float) -> int | None:
    """Smallest number of seeds with which a t-test finds ``mean`` at ``1 - LEVEL`` with the power `POWER`.

    Args:
        mean: difference to be found.
        deviation: sample standard deviation of the differences over seeds.

    Returns:
        At least 2; None where it is more than `MOST_SEEDS`.
    """
    if deviation == 0:
        return 2 if mean else None
    for number in range(2, MOST_SEEDS + 1):
        shift = abs(mean) / deviation * math.sqrt(number)
        critical = stats.t.ppf((1 + LEVEL) / 2, number - 1)
        if stats.nct.sf(critical, number - 1, shift) >= POWER:
            return number
        if number >= 30 and shift < 0.5:  # hopeless: the shift grows with the root of the number alone
            return None
    return None


def verdict(difference: SeedInterval, *, digits: int = 1) -> str:
    """One line in words: "better by 1.9 [0.8, 3.1] (10 seeds)", "no difference shown ..."."""
    low, high = f"{difference.low:+.{digits}f}", f"{difference.high:+.{digits}f}"
    seeds = (
        "one seed: the interval is of this network alone"
        if difference.num_seeds == 1
        else f"{difference.num_seeds} seeds"
    )
    if not difference.shows_a_difference:
        needed = difference.seeds_needed or 0
        more = f"; about {needed} seeds would show it" if needed > difference.num_seeds else ""
        return f"no difference shown: {difference.mean:+.{digits}f} [{low}, {high}] ({seeds}{more})"
    word = "better" if difference.mean > 0 else "worse"
    ends = sorted(abs(end) for end in (difference.low, difference.high))
    size = f"{abs(difference.mean):.{digits}f} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    return f"{word} by {size} ({seeds})"


def _normal_quantile() -> float:
    return float(stats.norm.ppf((1 + LEVEL) / 2))
