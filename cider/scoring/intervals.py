"""Confidence intervals of a sweep's scores, by bootstrap over utterances and over videos.

Letters: P points, K conditions, N utterances, C classes, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cider.scoring.bootstrap import LEVEL, SEED, UNITS, Unit, percentile_interval, resample
from cider.scoring.conditions import SweepPlan
from cider.scoring.metrics import score_many
from cider.scoring.prediction_frame import SweepPredictions
from cider.scoring.protocols import SweepScores, without_nan
from mer_data.tasks import Task

Values = NDArray[np.float64]
FEW_VIDEOS = 20


@dataclass(frozen=True)
class Interval:
    """Low and high of the metrics of a sweep.

    Attributes:
        points: for every metric (P, 2).
        areas: for every metric the interval (2,) of ``SweepPlan.area``.
    """

    points: dict[str, Values]
    areas: dict[str, Values]

    @classmethod
    def from_resamples(cls, plan: SweepPlan, resampled: dict[str, Values]) -> Interval:
        """Percentile intervals of resampled metrics (P, R)."""
        return cls(
            {name: percentile_interval(values) for name, values in resampled.items()},
            {name: percentile_interval(plan.area(values)) for name, values in resampled.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values with null for NaN."""
        return {
            "points": without_nan({name: bounds.tolist() for name, bounds in self.points.items()}),
            "area": without_nan({name: bounds.tolist() for name, bounds in self.areas.items()}),
        }


@dataclass(frozen=True)
class SweepIntervals:
    """Intervals of one sweep by what was resampled; without videos where the test fold has a single one.

    Attributes:
        resamples: R.
        strict: of the strict scores.
        change: of what counterfactual text changes, strict minus without it; None without such text.
        notes: what a reader must know about them.
    """

    resamples: int
    strict: dict[Unit, Interval]
    change: dict[Unit, Interval] | None
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "level": LEVEL,
            "resamples": self.resamples,
            "seed": SEED,
            "strict": {unit: interval.to_json() for unit, interval in self.strict.items()},
            "change_by_counterfactual_text": None
            if self.change is None
            else {unit: interval.to_json() for unit, interval in self.change.items()},
            "notes": list(self.notes),
        }


def resampled_scores(
    plan: SweepPlan, answers_KNC: Values, labels: Values, task: Task, weights_RN: Values
) -> dict[str, Values]:
    """Every metric under every resample, averaged over the mask seeds: (P, R)."""
    values = score_many(answers_KNC, labels, task, None, weights_RN)
    return {name: table[plan.index].mean(axis=1) for name, table in values.items()}


def weights_by_unit(
    videos: list[str], num: int, *, called: str = "The test fold"
) -> tuple[dict[Unit, Values], tuple[str, ...]]:
    """Resamples (R, N) of utterances and, where there are at least two, of videos; and what is to be said."""
    num_videos = len(set(videos))
    units = UNITS if num_videos > 1 else UNITS[:1]
    notes = []
    if num_videos == 1:
        notes.append(f"{called} is a single video: there is no interval over videos.")
    elif num_videos < FEW_VIDEOS:
        notes.append(f"{called} has {num_videos} videos: intervals over so few tend to be too narrow.")
    return {unit: resample(videos, unit, num) for unit in units}, tuple(notes)


def sweep_intervals(predictions: SweepPredictions, scores: SweepScores, num: int) -> SweepIntervals:
    """Intervals of the strict test scores, and of what counterfactual text changes in them.

    tau stays what validation chose: the intervals are about the test utterances alone.
    """
    plan, task, test = predictions.plan, predictions.task, predictions.test
    factual, _ = test.scores(test.own_means)
    weights, notes = weights_by_unit(test.videos, num)
    strict, change = {}, {}
    for unit, table in weights.items():
        answers = resampled_scores(plan, scores.answers, test.labels, task, table)
        strict[unit] = Interval.from_resamples(plan, answers)
        if scores.tau is not None:
            plain = resampled_scores(plan, factual, test.labels, task, table)
            change[unit] = Interval.from_resamples(
                plan, {name: answers[name] - plain[name] for name in answers}
            )
    return SweepIntervals(num, strict, change or None, notes)
