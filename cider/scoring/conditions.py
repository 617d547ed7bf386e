"""What a sweep predicts: missing patterns x rates x mask seeds, and what of it is the same thing.

Complete data does not know a pattern or a seed, and neither do data of which nothing is left. Both are one
condition each, predicted once and shared by every sweep of a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cider.scoring.metrics import areas
from cider.scoring.names import EvaluationPattern, Pattern
from mer_data.errors import RecipeError

SMM = "smm"
#: Kept modalities of SMM, those with text first; all three is complete data.
SMM_CASES = ("LAV", "LA", "LV", "L", "AV", "A", "V")
RANDOM_PATTERNS: tuple[str, ...] = get_args(Pattern)
ALIGNED_PATTERNS = ("tmfm", "stmfm")

AUILC = "auilc"
NORMALISED_AREA = "normalised_area"
MEAN_OF_CASES = "mean_of_cases"


@dataclass(frozen=True)
class Condition:
    """One state of the input.

    Attributes:
        pattern: missing pattern, or "complete" or "nothing".
        rate: missing rate; of SMM 0.
        kept: modalities that SMM keeps; empty for every other pattern.
        mask_seed: seed of random masks; 0 where nothing is random.
    """

    pattern: str
    rate: float = 0.0
    kept: str = ""
    mask_seed: int = 0

    @property
    def name(self) -> str:
        """Unique and fit for a file name, such as ``rmfm-rate0.3-mask0``."""
        if self.pattern == SMM:
            return f"{SMM}-{self.kept}"
        if self in (COMPLETE, NOTHING):
            return self.pattern
        return f"{self.pattern}-rate{self.rate:g}-mask{self.mask_seed}"


COMPLETE = Condition("complete")
NOTHING = Condition("nothing", 1.0)


def condition_of(pattern: str, rate: float, mask_seed: int) -> Condition:
    """The condition of a random pattern at a rate.

    Rate 0 is complete data and rate 1 leaves nothing, whatever the pattern and the seed.

    Raises:
        RecipeError: unknown pattern, or one without rates at another rate than 0; a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise RecipeError("impossible missing rate", found=rate, expected="0 to 1")
    if rate == 0 and pattern in get_args(EvaluationPattern):
        return COMPLETE
    if pattern not in RANDOM_PATTERNS:
        raise RecipeError(
            "no missing pattern with rates", found=repr(pattern), expected=" or ".join(RANDOM_PATTERNS)
        )
    return NOTHING if rate == 1 else Condition(pattern, round(rate, 6), "", mask_seed)


@dataclass(frozen=True)
class Point:
    """One place on the axis of a sweep: a missing rate or a case of SMM, with a condition per mask seed."""

    label: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class SweepPlan:
    """The points of one pattern.

    Letters: P points, S mask seeds, K different conditions.

    Attributes:
        pattern: missing pattern.
        rates: missing rates, rising; empty for SMM.
        mask_seeds: seeds of the masks; of SMM one, as nothing is random there.
    """

    pattern: EvaluationPattern
    rates: tuple[float, ...]
    mask_seeds: tuple[int, ...] = (0,)

    @classmethod
    def from_settings(
        cls, pattern: EvaluationPattern, rates: tuple[float, ...], mask_seeds: tuple[int, ...]
    ) -> SweepPlan:
        """A plan; SMM takes neither the rates nor the seeds."""
        return cls(pattern, (), (0,)) if pattern == SMM else cls(pattern, rates, mask_seeds)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The P places where scores are computed, each with S conditions."""
        if self.pattern == SMM:
            cases = {
                kept: COMPLETE if kept == SMM_CASES[0] else Condition(SMM, 0.0, kept) for kept in SMM_CASES
            }
            return tuple(Point(kept, (condition,)) for kept, condition in cases.items())
        return tuple(
            Point(f"{rate:g}" if rate % 1 else f"{rate:.1f}", tuple(self._at(rate))) for rate in self.rates
        )

    def _at(self, rate: float) -> list[Condition]:
        return [condition_of(self.pattern, rate, seed) for seed in self.mask_seeds]

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The K different conditions, every seed's in order of rising rates.

        In that order neighbours have the most texts in common: what is lost at a rate is lost at higher ones.
        """
        by_seed = [point.conditions[number] for number in range(self.num_seeds) for point in self.points]
        return tuple(dict.fromkeys(by_seed))

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """(P, S): which of ``conditions`` belongs to a point and a mask seed."""
        position = {condition: number for number, condition in enumerate(self.conditions)}
        return np.array(
            [[position[condition] for condition in point.conditions] for point in self.points], dtype=np.int64
        )

    @property
    def num_seeds(self) -> int:
        """S."""
        return len(self.mask_seeds)

    @property
    def name(self) -> str:
        """Name of the report's folder, such as ``rmfm-mask0`` or ``smm``."""
        if self.pattern == SMM:
            return SMM
        return f"{self.pattern}-mask{'-'.join(map(str, self.mask_seeds))}"

    @property
    def area_name(self) -> str | None:
        """What ``area`` is: AUILC where the rates span 0 to 1, and under another name what is not AUILC."""
        if self.pattern == SMM:
            return MEAN_OF_CASES
        if len(self.rates) < 2:
            return None
        return AUILC if (self.rates[0], self.rates[-1]) == (0.0, 1.0) else NORMALISED_AREA

    def area(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """One number for a whole sweep: over axis 0 (P, ...) of ``values``, (...).

        AUILC; over a part of the rates the trapezoid area divided by the length of that part, which is a mean
        and no AUILC; for SMM the mean of the seven cases; at a single point its value.
        """
        array = np.asarray(values, dtype=np.float64)
        if self.area_name in (AUILC, NORMALISED_AREA):
            return np.asarray(areas(self.rates, array) / (self.rates[-1] - self.rates[0]))
        return np.asarray(array.mean(axis=0))
