"""Several runs on the same test utterances: groups over training seeds, differences, significance.

Runs of one recipe that differ in the seed only are a group: its score is the mean over them, and its spread
the sample standard deviation. Groups are compared with the first one. Differences come with paired bootstrap
intervals. McNemar's test is about single predictions, so it is made per pair of runs, the n-th smallest seed
of one group with the n-th of the other; the p-value to quote is the largest of the pairs (do all of them
differ?), adjusted by Holm over the points and groups where a metric is tested.

Letters: P points, K conditions, N utterances, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cider.scoring.bootstrap import LEVEL, SEED, McNemar, Unit, holm, mcnemar
from cider.scoring.conditions import SweepPlan
from cider.scoring.confusion import chosen_points
from cider.scoring.groups import ScoredRun, group_runs, on_same_utterances
from cider.scoring.intervals import Interval, resampled_scores, weights_by_unit
from cider.scoring.metrics import accuracy_names, mean_and_std, right_answers
from cider.scoring.prediction_frame import TARGET, told_target
from cider.scoring.protocols import without_nan
from mer_data.errors import RunError

Values = NDArray[np.float64]
Resampled = dict[Unit, dict[str, Values]]
"""By unit and metric the scores (P, R) under each resample."""


@dataclass(frozen=True)
class GroupScores:
    """Strict test scores of the runs of one recipe.

    Attributes:
        label: name of the recipe, with what tells it from others of that name.
        runs: sorted by seed.
        points: for every metric the means over the mask seeds, (runs, P).
        areas: the same of ``SweepPlan.area``, (runs,).
        intervals: of the means over runs. The runs are taken as they are: their spread is not in it.
        changes: intervals of the difference to the first group, on the same resamples; None in the first.
    """

    label: str
    runs: tuple[ScoredRun, ...]
    points: dict[str, Values]
    areas: dict[str, Values]
    intervals: dict[Unit, Interval]
    changes: dict[Unit, Interval] | None

    @property
    def seeds(self) -> list[int]:
        """Training seeds of the runs."""
        return [run.seed for run in self.runs]

    def point(self, metric: str, number: int) -> tuple[float, float]:
        """Mean over runs at a point, and sample standard deviation (NaN for a single run)."""
        return mean_and_std(self.points[metric][:, number].tolist())

    def area(self, metric: str) -> tuple[float, float]:
        """The same for the area."""
        return mean_and_std(self.areas[metric].tolist())

    def to_json(self, first: GroupScores) -> dict[str, Any]:
        """Plain values; ``first`` is what the group is compared with."""
        places = range(next(iter(self.points.values())).shape[1])
        return {
            "label": self.label,
            "runs": [str(run.path) for run in self.runs],
            "seeds": self.seeds,
            "taus": [run.scores.tau for run in self.runs],
            "digests": [run.identity for run in self.runs],
            "mean_and_std": {name: [self.point(name, place) for place in places] for name in self.points},
            "area_mean_and_std": {name: self.area(name) for name in self.areas},
            "intervals": {unit: interval.to_json() for unit, interval in self.intervals.items()},
            "difference": None
            if self.changes is None
            else {
                "points": {
                    name: (self.points[name].mean(axis=0) - first.points[name].mean(axis=0)).tolist()
                    for name in self.points
                },
                "area": {name: self.area(name)[0] - first.area(name)[0] for name in self.areas},
                "intervals": {unit: interval.to_json() for unit, interval in self.changes.items()},
            },
        }


@dataclass(frozen=True)
class PairTest:
    """McNemar's test of one run against one run of the first group.

    Attributes:
        metric: the accuracy that says what is right.
        point: number of the point; of several mask seeds the first is tested.
        label: the group that is compared with the first.
        seeds: training seeds, of the first group's run and of this one's.
        result: counts and p-value; "first" is the first group.
    """

    metric: str
    point: int
    label: str
    seeds: tuple[int, int]
    result: McNemar


@dataclass(frozen=True)
class Comparison:
    """What ``cider compare`` tells.

    Attributes:
        plan: the sweep.
        groups: the first is what the others are compared with.
        tests: McNemar's tests.
        resamples: R.
        notes: what a reader must know.
    """

    plan: SweepPlan
    groups: tuple[GroupScores, ...]
    tests: tuple[PairTest, ...]
    resamples: int
    notes: tuple[str, ...]

    @cached_property
    def p_values(self) -> dict[str, dict[tuple[int, str], float]]:
        """By metric, then point and group: the largest p of the pairs, Holm-adjusted within a metric."""
        largest: dict[str, dict[tuple[int, str], float]] = {}
        for test in self.tests:
            of_metric = largest.setdefault(test.metric, {})
            key = test.point, test.label
            of_metric[key] = max(of_metric.get(key, 0.0), test.result.p_value)
        return {
            metric: dict(zip(values, holm(list(values.values())), strict=True))
            for metric, values in largest.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values with null for NaN; only strict scores are compared."""
        value = {
            "protocol": "strict",
            "pattern": self.plan.pattern,
            "points": [point.label for point in self.plan.points],
            "mask_seeds": list(self.plan.mask_seeds),
            "area": self.plan.area_name,
            "bootstrap": {"level": LEVEL, "resamples": self.resamples, "seed": SEED},
            "groups": [group.to_json(self.groups[0]) for group in self.groups],
            "tests": [self._test_json(test) for test in self.tests],
            "p_values_holm": [
                {
                    "metric": metric,
                    "point": self.plan.points[point].label,
                    "second": label,
                    "p_value": value,
                }
                for metric, values in self.p_values.items()
                for (point, label), value in values.items()
            ],
            "notes": list(self.notes),
        }
        return {name: without_nan(item) for name, item in value.items()}

    def _test_json(self, test: PairTest) -> dict[str, Any]:
        return {
            "metric": test.metric,
            "point": self.plan.points[test.point].label,
            "first": self.groups[0].label,
            "second": test.label,
            "seeds": list(test.seeds),
            "only_first_right": test.result.only_first,
            "only_second_right": test.result.only_second,
            "p_value": test.result.p_value,
        }


def compare_runs(runs: Sequence[ScoredRun], *, resamples: int) -> Comparison:
    """Compare runs that were evaluated in the same sweep.

    Args:
        runs: in the order wanted; the group of the first is what the others are compared with.
        resamples: of the bootstrap.

    Raises:
        RunError: fewer than two runs, a run twice, different tasks, or different test utterances or labels.
    """
    if len(runs) < 2:
        raise RunError("nothing to compare", found=f"{len(runs)} run", expected="two runs or more")
    comparable = on_same_utterances(runs)
    weights, notes = weights_by_unit(comparable[0].test.videos, resamples)
    groups: list[GroupScores] = []
    first: Resampled = {}
    for label, members in group_runs(comparable).items():
        resampled: Resampled = {unit: mean_resampled(members, table) for unit, table in weights.items()}
        groups.append(_scores(label, members, resampled, first))
        first = first or resampled
    target = comparable[0].identity.get(TARGET)
    if target is not None:
        notes = (*notes, f"Tested {told_target(target)}, not on the test fold of the runs' own split.")
    seeds = {len(group.runs) for group in groups}
    if len(seeds) > 1:
        notes = (
            *notes,
            "Groups have different numbers of runs: McNemar's test pairs as many as the smaller has.",
        )
    return Comparison(comparable[0].scores.plan, tuple(groups), tuple(_tests(groups)), resamples, notes)


def mean_resampled(runs: Sequence[ScoredRun], weights: Values) -> dict[str, Values]:
    """Mean over runs of every metric (P, R)."""
    tables = [
        resampled_scores(run.scores.plan, run.scores.answers, run.test.labels, run.scores.task, weights)
        for run in runs
    ]
    return {name: np.mean([table[name] for table in tables], axis=0) for name in tables[0]}


def _scores(label: str, runs: Sequence[ScoredRun], resampled: Resampled, first: Resampled) -> GroupScores:
    plan = runs[0].scores.plan
    strict = [run.scores.strict for run in runs]
    changes = {
        unit: Interval.from_resamples(plan, {name: values[name] - first[unit][name] for name in values})
        for unit, values in resampled.items()
        if first
    }
    return GroupScores(
        label,
        tuple(runs),
        {name: np.array([table.means[name] for table in strict]) for name in strict[0].values},
        {name: np.array([table.mean_areas[name] for table in strict]) for name in strict[0].values},
        {unit: Interval.from_resamples(plan, values) for unit, values in resampled.items()},
        changes or None,
    )


def _tests(groups: Sequence[GroupScores]) -> list[PairTest]:
    """McNemar's tests of every group against the first, per accuracy, point and pair of runs."""
    first = groups[0]
    plan, task = first.runs[0].scores.plan, first.runs[0].scores.task
    return [
        PairTest(
            metric,
            point,
            group.label,
            (one.seed, other.seed),
            _paired(one, other, metric, point),
        )
        for metric in accuracy_names(task)
        for group in groups[1:]
        for point in chosen_points(plan)
        for one, other in zip(first.runs, group.runs, strict=False)
    ]


def _paired(one: ScoredRun, other: ScoredRun, metric: str, point: int) -> McNemar:
    right = []
    for run in (one, other):
        answers = run.scores.answers[run.scores.plan.index[point, 0]]
        member, correct = right_answers(answers, run.test.labels, run.scores.task, metric)
        right.append(correct[member])
    return mcnemar(*right)
