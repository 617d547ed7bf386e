"""The published number, ours by both protocols, and their differences, for every place of a table.

Everything is in the table's units: percent, counts, GiB, seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cider.paper.costs import Cost
from cider.paper.plan import Plan, sweep_of
from cider.paper.run import Measurements
from cider.paper.schema import Row
from cider.paper.tables import Column
from cider.scoring.metrics import mean_and_std
from cider.scoring.protocols import MetricTable, SweepScores, without_nan


@dataclass(frozen=True)
class Spread:
    """A number of ours, once per training seed; NaN where the metric is undefined."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean_and_std(self.values)[0]

    @property
    def deviation(self) -> float:
        """Sample standard deviation over the seeds; NaN for a single one."""
        return mean_and_std(self.values)[1]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"mean": self.mean, "std": self.deviation, "values": list(self.values)}


@dataclass(frozen=True)
class Cell:
    """One place of a table.

    Attributes:
        published: None where the paper prints a dash.
        has_run: whether a run of ours gives this number and was asked for.
        strict: ours; of training cost what was measured. None where nothing was run.
        paper: ours by the paper's protocol; None of training cost too.
    """

    published: float | None
    has_run: bool
    strict: Spread | None = None
    paper: Spread | None = None

    def difference(self, ours: Spread | None) -> float | None:
        """``ours`` - published; None where one of them is not there."""
        return None if ours is None or self.published is None else ours.mean - self.published

    def to_json(self) -> dict[str, Any]:
        """Plain values with null for what is not there."""
        value = {
            "published": self.published,
            "strict": None if self.strict is None else self.strict.to_json(),
            "paper": None if self.paper is None else self.paper.to_json(),
            "strict_minus_published": self.difference(self.strict),
            "paper_minus_published": self.difference(self.paper),
        }
        return {key: without_nan(item) for key, item in value.items()}


def cell_of(plan: Plan, found: Measurements, row: Row, column: Column) -> Cell:
    """The cell of a row in a column."""
    published = plan.table.value(row.name, column.key)
    runs = plan.runs(row, column)
    sweep = sweep_of(column)
    if not runs:
        return Cell(published, False)
    if sweep is None:
        costs = [found.costs[run.name] for run in runs if run.name in found.costs]
        return Cell(published, True, _cost(costs, column.metric) if len(costs) == len(runs) else None)
    (run,) = runs  # a metric is of one task
    sweeps = [found.scores.get((run.name, seed), {}).get(sweep) for seed in plan.seeds]
    there = [scores for scores in sweeps if scores is not None]
    if not there:
        return Cell(published, True)
    return Cell(
        published,
        True,
        Spread(tuple(100 * value_at(scores.strict, scores, column) for scores in there)),
        Spread(tuple(100 * value_at(scores.paper.table, scores, column) for scores in there)),
    )


def value_at(table: MetricTable, scores: SweepScores, column: Column) -> float:
    """The share that ``column`` shows, from one of the tables of a sweep's scores."""
    if column.place == "auilc":
        return table.mean_areas[column.metric]
    if column.place == "complete":
        position = 0
    elif isinstance(column.place, float):
        position = scores.rates.index(column.place)
    else:
        position = [point.label for point in scores.plan.points].index(column.place)
    return table.means[column.metric][position]


def _cost(costs: Sequence[Cost], metric: str) -> Spread:
    """Mean over the tasks, as the paper's row is; NaN where this machine has no such number."""
    values = [getattr(cost, metric) for cost in costs]
    return Spread((float("nan") if None in values else sum(values) / len(values),))


def row_cells(plan: Plan, found: Measurements, columns: Iterable[Column]) -> dict[str, dict[str, Cell]]:
    """By row name and column key."""
    chosen = list(columns)
    return {
        row.name: {column.key: cell_of(plan, found, row, column) for column in chosen}
        for row in plan.table.rows
    }
