"""Scores against the severity of distribution shift: curves over a series of splits, and their area.

Every severity is a split with a training fold of its own, so a curve has a trained run per severity and seed.
Runs of one recipe that differ in the split and the seed are a group; groups are compared with the first one.

Intervals resample the test utterances of all severities together, and every split takes its own: an
utterance (or video) that several test folds have is drawn equally often in all of them, so the interval of an
area knows what its points have in common. Groups are measured on the same resamples (paired).

Letters: L severities, P places (points of the sweep, then its area), G seeds of a group, R resamples. Rows
are the L severities, then their area, then the change from the lowest to the highest: L + 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cider.scoring.bootstrap import LEVEL, SEED, Unit, percentile_interval
from cider.scoring.compare import mean_resampled
from cider.scoring.conditions import SweepPlan
from cider.scoring.groups import ScoredRun, on_same_utterances
from cider.scoring.intervals import weights_by_unit
from cider.scoring.metrics import areas
from cider.scoring.prediction_frame import FoldPredictions
from cider.scoring.protocols import MetricTable, without_nan
from cider.scoring.shift_grid import Grid, ShiftedRun, run_grids, several_severities
from mer_data.splits.series import SeriesSplit

Values = NDArray[np.float64]
Table = dict[str, Values]
"""Values by metric."""

AREA_OVER_SEVERITY = "area_over_severity"
NORMALISED_AREA_OVER_SEVERITY = "normalised_area_over_severity"
CHANGE = "change"


@dataclass(frozen=True)
class SeverityAxis:
    """The severities of a series, rising (L), at least two."""

    levels: tuple[float, ...]

    @property
    def area_name(self) -> str:
        """What the area is: over 0 to 1, or under another name a mean over a part of the severities."""
        whole = (self.levels[0], self.levels[-1]) == (0.0, 1.0)
        return AREA_OVER_SEVERITY if whole else NORMALISED_AREA_OVER_SEVERITY

    @property
    def row_names(self) -> list[str]:
        """Names of the L + 2 rows."""
        return [*(f"{level:g}" for level in self.levels), self.area_name, CHANGE]

    def rows(self, values: Values) -> Values:
        """Values (L, ...) with their trapezoid area over severity, divided by its range, and their change.

        Returns:
            (L + 2, ...). The range of 0 to 1 has length 1, so there the area is divided by nothing.
        """
        area = areas(self.levels, values) / (self.levels[-1] - self.levels[0])
        return np.concatenate([values, area[None], (values[-1] - values[0])[None]])


@dataclass(frozen=True)
class CurveGroup:
    """The runs of one recipe over the severities.

    Attributes:
        label: name of the recipe, with what tells it from others of that name.
        seeds: training seeds, rising (G).
        runs: for every severity the runs by seed (L, G).
        strict: for every metric the strict test scores (G, L + 2, P).
        paper: the same by the protocol ``paper``.
        intervals: of the means over seeds, by what was resampled and metric (L + 2, P, 2). The runs are taken
            as they are: their spread is not in it.
        differences: intervals of the difference to the first group; None in the first.
    """

    label: str
    seeds: tuple[int, ...]
    runs: tuple[tuple[ScoredRun, ...], ...]
    strict: Table
    paper: Table
    intervals: dict[Unit, Table]
    differences: dict[Unit, Table] | None

    def mean(self, metric: str) -> Values:
        """Mean strict scores (L + 2, P) over the seeds."""
        return np.asarray(self.strict[metric].mean(axis=0))

    def deviation(self, metric: str) -> Values:
        """Their sample standard deviation; NaN for a single seed."""
        values = self.strict[metric]
        return (
            np.full(values.shape[1:], np.nan) if len(values) < 2 else np.asarray(values.std(axis=0, ddof=1))
        )

    def paper_mean(self, metric: str) -> Values:
        """Mean scores of the protocol ``paper`` (L + 2, P); they are shown beside the strict ones."""
        return np.asarray(self.paper[metric].mean(axis=0))


@dataclass(frozen=True)
class ShiftCurves:
    """Scores of recipes over a series of splits.

    Attributes:
        axis: the severities.
        splits: one for each.
        plan: the sweep over missing rates that every run was measured in.
        groups: the first is what the others are compared with.
        resamples: R.
        notes: what a reader must know.
    """

    axis: SeverityAxis
    splits: tuple[SeriesSplit, ...]
    plan: SweepPlan
    groups: tuple[CurveGroup, ...]
    resamples: int
    notes: tuple[str, ...]

    @property
    def place_names(self) -> list[str]:
        """Names of the P places."""
        return [point.label for point in self.plan.points] + [self.plan.area_name or ""][
            : _num_areas(self.plan)
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values with null for NaN. Paper values stand beside the strict ones, in the same objects."""
        first = self.groups[0]
        value = {
            "series": self.splits[0].origin,
            "severities": [_split_json(split) for split in self.splits],
            "rows": self.axis.row_names,
            "pattern": self.plan.pattern,
            "places": self.place_names,
            "mask_seeds": list(self.plan.mask_seeds),
            "bootstrap": {"level": LEVEL, "resamples": self.resamples, "seed": SEED},
            "groups": [_group_json(group, first) for group in self.groups],
            "notes": list(self.notes),
        }
        return {name: without_nan(item) for name, item in value.items()}


def shift_curves(runs: Sequence[ShiftedRun], *, resamples: int) -> ShiftCurves:
    """Curves of runs that were evaluated in the same sweep.

    Args:
        runs: in the order wanted; the group of the first is what the others are compared with.
        resamples: of the bootstrap.

    Raises:
        RunError: no two severities, a run twice, two runs of one recipe, split and seed, or one that a recipe
            lacks.
        SplitError: the splits are of different series.
    """
    splits = several_severities([one.split for one in runs])
    axis = SeverityAxis(tuple(split.severity for split in splits))
    by_level = [[one.run for one in runs if one.split.severity == level] for level in axis.levels]
    comparable = [on_same_utterances(some) for some in by_level]
    grids = run_grids(comparable, axis.levels)
    plan = runs[0].run.scores.plan
    weights, notes = _joint_weights([some[0].test for some in comparable], resamples)
    groups: list[CurveGroup] = []
    first: dict[Unit, Table] = {}
    for label, grid in grids.items():
        resampled = {unit: _resampled(grid, axis, plan, parts) for unit, parts in weights.items()}
        groups.append(_group(label, grid, axis, resampled, first))
        first = first or resampled
    return ShiftCurves(axis, splits, plan, tuple(groups), resamples, notes)


def _joint_weights(
    tests: Sequence[FoldPredictions], resamples: int
) -> tuple[dict[Unit, list[Values]], tuple[str, ...]]:
    """For every kind of resampling the weights (R, N) of each test fold, from one draw of them all."""
    video_of = {name: video for test in tests for name, video in zip(test.ids, test.videos, strict=True)}
    row = {name: number for number, name in enumerate(video_of)}
    together, notes = weights_by_unit(list(video_of.values()), resamples, called="All test folds together")
    columns = [[row[name] for name in test.ids] for test in tests]
    return {unit: [table[:, rows] for rows in columns] for unit, table in together.items()}, notes


def _resampled(grid: Grid, axis: SeverityAxis, plan: SweepPlan, weights: Sequence[Values]) -> Table:
    """Mean over seeds of every metric under every resample (L + 2, P, R)."""
    tables = [mean_resampled(runs, part) for runs, part in zip(grid, weights, strict=True)]
    return {
        name: axis.rows(np.stack([_with_area(plan, table[name]) for table in tables])) for name in tables[0]
    }


def _group(
    label: str, grid: Grid, axis: SeverityAxis, resampled: dict[Unit, Table], first: dict[Unit, Table]
) -> CurveGroup:
    def scores(table_of: Callable[[ScoredRun], MetricTable]) -> Table:
        tables = [[table_of(run) for run in runs] for runs in grid]
        return {
            name: np.moveaxis(
                axis.rows(np.array([[_places(table, name) for table in some] for some in tables])), 1, 0
            )
            for name in tables[0][0].values
        }

    differences = {
        unit: {name: percentile_interval(values - first[unit][name]) for name, values in table.items()}
        for unit, table in resampled.items()
        if first
    }
    return CurveGroup(
        label,
        tuple(run.seed for run in grid[0]),
        grid,
        scores(lambda run: run.scores.strict),
        scores(lambda run: run.scores.paper.table),
        {
            unit: {name: percentile_interval(values) for name, values in table.items()}
            for unit, table in resampled.items()
        },
        differences or None,
    )


def _places(table: MetricTable, name: str) -> list[float]:
    """A metric of one run at the P places, averaged over the mask seeds."""
    return [*table.means[name], *[table.mean_areas[name]][: _num_areas(table.plan)]]


def _with_area(plan: SweepPlan, values: Values) -> Values:
    """Values at the points of a sweep with their area: (P, ...)."""
    return np.concatenate([values, plan.area(values)[None]]) if _num_areas(plan) else values


def _num_areas(plan: SweepPlan) -> int:
    """1 where a sweep has an area, else 0."""
    return 0 if plan.area_name is None else 1


def _split_json(split: SeriesSplit) -> dict[str, Any]:
    shift = split.manifest.shift
    return {
        "severity": split.severity,
        "split": str(split.path),
        "digest": split.manifest.digest,
        "word_label_divergence_bits": shift["word_label_divergence_bits"],
        "text_probe": shift["text_probe"],
        "sizes": {fold: len(ids) for fold, ids in split.manifest.splits.items()},
    }


def _group_json(group: CurveGroup, first: CurveGroup) -> dict[str, Any]:
    def intervals(by_unit: dict[Unit, Table], name: str) -> dict[str, Any]:
        return {unit: table[name].tolist() for unit, table in by_unit.items()}

    def metric(name: str) -> dict[str, Any]:
        strict, paper = group.mean(name), group.paper_mean(name)
        difference = None
        if group.differences is not None:
            difference = {
                "values": (strict - first.mean(name)).tolist(),
                "intervals": intervals(group.differences, name),
            }
        return {
            "strict": strict.tolist(),
            "deviation_over_seeds": group.deviation(name).tolist(),
            "intervals": intervals(group.intervals, name),
            "paper": paper.tolist(),
            "paper_minus_strict": (paper - strict).tolist(),
            "difference_to_first": difference,
        }

    return {
        "label": group.label,
        "seeds": list(group.seeds),
        "runs": [
            [{"run": str(run.path), "tau": run.scores.tau, "belongs_to": run.identity} for run in runs]
            for runs in group.runs
        ],
        "metrics": {name: metric(name) for name in group.strict},
    }
