"""Which runs of ours give the numbers of a published table, and how each is evaluated.

A table names runs (``cider.paper.tables``). The user's overrides go into every run and into its name, so
that runs of different settings never meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cider.evaluation.evaluate import EvaluationOverrides
from cider.paper.schema import Row
from cider.paper.tables import SWEEP, Column, PublishedTable, Run, slug
from cider.prediction.target import Target
from cider.recipe.schema import Recipe, find_recipe, load_recipe
from cider.scoring.conditions import SMM
from mer_data.errors import RecipeError, did_you_mean
from mer_data.tasks import TaskName

FIXED_KEYS = ("name", "seed", "task", "data")
"""Keys of a recipe that the table decides."""
TARGET_SPLIT = "standard"
"""Whose test fold is taken of another corpus."""


@dataclass(frozen=True)
class Sweep:
    """An evaluation of a run; ``on``: another corpus than that of training, None: the run's own split."""

    choices: EvaluationOverrides
    on: Target | None = None


@dataclass(frozen=True)
class PlannedRun:
    """A run of ours that a table needs.

    Attributes:
        run: with the user's overrides.
        recipes: resolved, one per seed.
        sweeps: what is evaluated.
        costs: whether the cost of training is measured.
    """

    run: Run
    recipes: tuple[Recipe, ...]
    sweeps: tuple[Sweep, ...]
    costs: bool


@dataclass(frozen=True)
class Plan:
    """A part of a table and the runs that give it.

    Attributes:
        table: published.
        columns: those chosen.
        task: all of whose columns were chosen, and none of another; None: of all tasks.
        rows: those of ours.
        overrides: the user's, for every run.
        seeds: of training.
    """

    table: PublishedTable
    columns: tuple[Column, ...]
    task: TaskName | None
    rows: tuple[Row, ...]
    overrides: tuple[str, ...]
    seeds: tuple[int, ...]

    def runs(self, row: Row, column: Column) -> tuple[Run, ...]:
        """Runs of ours that give a number, with the user's overrides; none of what is not asked for."""
        if row not in self.rows or column not in self.columns:
            return ()
        return tuple(_changed(run, self.overrides) for run in self.table.runs(row, column))

    @cached_property
    def planned(self) -> tuple[PlannedRun, ...]:
        """Every run once, in the order of the rows.

        Raises:
            RecipeError: an override is wrong.
        """
        found: dict[str, tuple[Run, dict[Sweep, None], list[bool]]] = {}
        for row in self.rows:
            for column in self.columns:
                for run in self.runs(row, column):
                    _, sweeps, costs = found.setdefault(run.name, (run, {}, []))
                    sweep = sweep_of(column)
                    if sweep is None:
                        costs.append(True)
                    else:
                        sweeps[sweep] = None
        return tuple(
            PlannedRun(run, self._recipes(run), tuple(sweeps), bool(costs))
            for run, sweeps, costs in found.values()
        )

    def _recipes(self, run: Run) -> tuple[Recipe, ...]:
        path = find_recipe(run.recipe)
        told = {one: f"{one} of {self.table.name}" for one in run.overrides if one not in self.overrides}
        return tuple(
            load_recipe(path, (*run.overrides, f"seed={seed}"), told=told | {f"seed={seed}": "--seeds"})
            for seed in self.seeds
        )


def make_plan(
    table: PublishedTable,
    *,
    datasets: Sequence[str] = (),
    task: TaskName | None = None,
    rows: Sequence[str] = (),
    floors: bool = False,
    overrides: Sequence[str] = (),
    seeds: Sequence[int],
) -> Plan:
    """What is asked for, checked against the table.

    Args:
        table: published.
        datasets: only columns that train and test on these; none: all columns.
        task: only columns whose runs are of it; None: all.
        rows: names of rows of ours; none: all that we have runs for.
        floors: add the rows of the floor models, and choose them.
        overrides: ``key=value`` for every run.
        seeds: of training.

    Raises:
        RecipeError: the table has no such row, dataset or task, the row is published only, or an override
            changes what the table decides.
    """
    if floors:
        table = table.with_floors()
    columns = _of_task(table, _columns(table, datasets), task)
    ours = [row for row in table.rows if any(table.runs(row, column) for column in columns)]
    chosen = [*(table.row(name) for name in rows), *table.floors] if rows else ours
    for row in chosen:
        if row not in ours:
            raise RecipeError(
                f"row {row.name!r} is published only: we have no run for it",
                where=table.name,
                expected=", ".join(one.name for one in ours) or "no row of this table",
            )
    ordered = tuple(sorted(overrides))
    _check_overrides(table, ordered, chosen)
    kept = tuple(row for row in table.rows if row in chosen)
    return Plan(table, columns, task, kept, ordered, tuple(seeds))


def _columns(table: PublishedTable, datasets: Sequence[str]) -> tuple[Column, ...]:
    corpora = [(column.setting.trained_on, column.setting.tested_on) for column in table.columns]
    chosen = tuple(
        column
        for column, pair in zip(table.columns, corpora, strict=True)
        if not datasets or set(pair) <= set(datasets)
    )
    unused = sorted(set(datasets) - {name for column in chosen for name in _corpora(column)})
    if unused or not chosen:
        known = dict.fromkeys(a if a == b else f"{a} and {b} together" for a, b in corpora)
        raise RecipeError(
            f"no column of {table.name} for dataset {', '.join(unused or datasets)}",
            expected=" or ".join(known),
            do=did_you_mean((unused or [*datasets])[0], {name for pair in corpora for name in pair}),
        )
    return chosen


def _of_task(table: PublishedTable, columns: tuple[Column, ...], task: TaskName | None) -> tuple[Column, ...]:
    """Cost of training is a mean over both tasks, so it is a column of neither alone."""
    chosen = tuple(column for column in columns if task is None or column.tasks == (task,))
    if not chosen:
        raise RecipeError(f"no column of {table.name} is of task {task} alone", do="Leave out --task")
    return chosen


def _corpora(column: Column) -> tuple[str, str]:
    return column.setting.trained_on, column.setting.tested_on


def _check_overrides(table: PublishedTable, overrides: tuple[str, ...], rows: Sequence[Row]) -> None:
    keys = [override.partition("=")[0] for override in overrides]
    for key in keys:
        if key.partition(".")[0] in FIXED_KEYS or keys.count(key) > 1:
            raise RecipeError(
                f"--set {key} is not possible here",
                found=f"key {key} twice" if keys.count(key) > 1 else None,
                do="Columns of a table decide data and task, --seeds the seeds; train other runs with"
                " `cider train`",
            )
        for row in rows:
            for own in (*(table.shared.methods[row.method].overrides or ()), *(row.overrides or ())):
                if _meet(key, own.partition("=")[0]):
                    raise RecipeError(
                        f"--set {key} would undo what makes row {row.name!r}",
                        where=table.name,
                        found=own,
                        do="Leave it out, or choose other rows with --rows",
                    )


def _meet(one: str, other: str) -> bool:
    """Whether two keys are one, or one is a group that has the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def suffix(overrides: Sequence[str]) -> str:
    """What overrides add to a run's name: "-text_encoder_minilm"."""
    return "".join(
        f"-{slug(override.partition('=')[0].rpartition('.')[2])}_{slug(override.partition('=')[2])}"
        for override in overrides
    )


def _changed(run: Run, overrides: tuple[str, ...]) -> Run:
    if not overrides:
        return run
    name = run.name + suffix(overrides)
    return Run(name, run.task, run.recipe, (*run.overrides, *overrides, f"name={name}"))


def sweep_of(column: Column) -> Sweep | None:
    """The evaluation that gives a column; None of training cost.

    Single rates are read off the whole sweep, so that one tau serves a row of a per-rate table and its area.
    Complete data chooses a tau of its own.
    """
    if column.place == "training":
        return None
    if column.place == "complete":
        choices = EvaluationOverrides(pattern="rmfm", rates=(0.0,))
    elif column.pattern == SMM:
        choices = EvaluationOverrides(pattern=SMM)
    else:
        choices = EvaluationOverrides(pattern=column.pattern, rates=SWEEP)
    setting = column.setting
    if setting.tested_on == setting.trained_on:
        return Sweep(choices)
    return Sweep(choices, Target(setting.tested_on, setting.alignment, TARGET_SPLIT))
