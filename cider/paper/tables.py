"""The paper's tables IV to XXII as data: what was published, and which run of ours gives the same number.

``recipes/tables/tableN.yaml`` holds one table, ``shared.yaml`` what they have in common. A column names a
setting (corpora, alignment, distribution, the recipe of each task), a missing pattern, where it is measured
and a metric; a row names a method. Published values are as printed, also where they look wrong: notes say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cider.paper.schema import (
    AnyPattern,
    ColumnGroup,
    Link,
    Place,
    PublishedMetric,
    Row,
    Setting,
    Shared,
    TableFile,
    Unit,
)
from cider.recipe.schema import recipe_folder
from cider.scoring.names import TASK_METRICS
from mer_data.errors import RecipeError, did_you_mean
from mer_data.files.strict_model import load_model
from mer_data.tasks import TaskName

if TYPE_CHECKING:
    import pandas as pd

SWEEP = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True)
class Column:
    """One column: a metric of a setting at one place; ``place`` as in ``ColumnGroup.at``."""

    key: str
    group: str
    setting: Setting
    pattern: AnyPattern | None
    place: Place
    metric: PublishedMetric
    unit: Unit

    @property
    def tasks(self) -> tuple[TaskName, ...]:
        """The tasks whose runs give the number: the one that has the metric; training cost is of all."""
        scored = tuple(task for task, metrics in TASK_METRICS.items() if self.metric in metrics)
        return scored or tuple(self.setting.runs)

    @property
    def rates(self) -> tuple[float, ...]:
        """Missing rates to evaluate at; none for training cost and kept modalities."""
        if isinstance(self.place, float):
            return (self.place,)
        return {"complete": (0.0,), "auilc": SWEEP}.get(self.place, ())


@dataclass(frozen=True)
class Run:
    """A training run of ours: ``load_recipe(find_recipe(recipe), overrides)``, whose name is ``name``."""

    name: str
    task: TaskName
    recipe: str
    overrides: tuple[str, ...]


Picked = TypeVar("Picked", Row, Column)


@dataclass(frozen=True)
class PublishedTable:
    """A published table. ``folder`` holds its file and those of the tables it is linked to."""

    name: str
    content: TableFile
    shared: Shared
    folder: Path

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the paper's order."""
        return tuple(
            Column(
                key="_".join((*_prefix(group, place), metric)),
                group=group.key,
                setting=self.shared.settings[group.setting],
                pattern=group.pattern,
                place=place,
                metric=metric,
                unit=unit,
            )
            for group in self.content.columns
            for place in group.places
            for metric, unit in group.metrics.items()
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, in the paper's order."""
        return self.content.rows

    @property
    def floors(self) -> tuple[Row, ...]:
        """The rows of floor models; none before `with_floors`."""
        return tuple(row for row in self.rows if self.shared.methods[row.method].floor)

    def with_floors(self) -> PublishedTable:
        """The same table with a row for every floor model below the published ones, without numbers.

        Raises:
            RecipeError: ``shared.yaml`` has none.
        """
        names = [name for name, method in self.shared.methods.items() if method.floor]
        if not names:
            raise RecipeError(
                "no floor models", where=self.folder / "shared.yaml", expected="methods with floor: true"
            )
        rows = [row for row in self.rows if row not in self.floors]
        rows += [Row(method=name, values=(None,) * len(self.columns)) for name in names]
        return replace(self, content=self.content.model_copy(update={"rows": tuple(rows)}))

    def row(self, name: str) -> Row:
        """The row called ``name``.

        Raises:
            RecipeError: there is none; the table's rows are listed.
        """
        return self._pick("row", name, {row.name: row for row in self.rows})

    def column(self, key: str) -> Column:
        """The column with this key.

        Raises:
            RecipeError: there is none; the table's columns are listed.
        """
        return self._pick("column", key, {column.key: column for column in self.columns})

    def value(self, row: str, column: str) -> float | None:
        """The published number; None where the paper prints a dash."""
        return self.row(row).values[self.columns.index(self.column(column))]

    def frame(self) -> pd.DataFrame:
        """Rows by name, columns by key; NaN where the paper prints a dash."""
        import pandas as pd

        return pd.DataFrame(
            [row.values for row in self.rows],
            index=pd.Index([row.name for row in self.rows], name="row"),
            columns=[column.key for column in self.columns],
            dtype=float,
        )

    def runs(self, row: Row, column: Column) -> tuple[Run, ...]:
        """The runs of ours that give ``row`` in ``column``, one per task; none where it is published only.

        Runs of one name are equal in all tables, so that a run serves every table that asks for it.
        """
        method = self.shared.methods[row.method]
        if method.overrides is None or row.overrides is None:
            return ()
        parts = [row.method] if method.overrides else []
        parts += [row.label] if row.overrides else []
        runs = []
        for task in column.tasks:
            base = column.setting.runs[task]
            overrides = (*base.overrides, *method.overrides, *row.overrides)
            name = "-".join([base.name, *(slug(part) for part in parts)])
            if name != base.name:
                overrides = (*overrides, f"name={name}")
            runs.append(Run(name, task, base.recipe, overrides))
        return tuple(runs)

    def series(self, metric: PublishedMetric) -> pd.DataFrame:
        """A metric over missing rates, of a per-rate table.

        Returns:
            Index ``rate`` 0.0 to 1.0 (0.0 from the table of complete data), one column per row of the table.

        Raises:
            RecipeError: the table is not per rate, or has no such metric.
        """
        import pandas as pd

        complete = self._linked(self.content.complete, metric)
        chosen = [column for column in self.columns if column.metric == metric]
        rates = pd.Index([0.0, *(column.place for column in chosen)], name="rate")
        values = self.frame()[[column.key for column in chosen]]
        return pd.DataFrame({row: [complete[row], *values.loc[row]] for row in values.index}, index=rates)

    def areas(self, metric: PublishedMetric) -> dict[str, float | None]:
        """The published AUILC of every row of a per-rate table, from the table that prints it.

        Raises:
            RecipeError: the table is not per rate, or has no such metric.
        """
        return self._linked(self.content.area, metric)

    def _linked(self, link: Link | None, metric: str) -> dict[str, float | None]:
        """A column of a linked table for the rows of this one, a method's rows told apart by pattern."""
        if link is None:
            raise RecipeError("not a table of single missing rates", found=self.name)
        pattern = self.content.columns[0].pattern
        other = load_table(link.table, self.folder)
        position = other.columns.index(other.column(f"{link.group}_{metric}"))
        found = {row.method: row.values[position] for row in other.rows if row.trained_on in (None, pattern)}
        return {row.name: found.get(row.method) for row in self.rows}

    def _pick(self, kind: str, name: str, known: dict[str, Picked]) -> Picked:
        if name not in known:
            raise RecipeError(
                f"no {kind} {name!r}",
                where=self.name,
                expected=", ".join(known),
                do=did_you_mean(name, known),
            )
        return known[name]


def tables_folder() -> Path:
    """Folder of the packaged tables."""
    return recipe_folder() / "tables"


def known_tables(folder: Path | None = None) -> list[str]:
    """Names of the tables, in the paper's order; ``folder``: other than the packaged."""
    names = [path.stem for path in (folder or tables_folder()).glob("table*.yaml")]
    return sorted(names, key=lambda name: (len(name), name))


def load_table(name: str, folder: Path | None = None) -> PublishedTable:
    """The table called ``name``, such as ``table4``; ``folder``: other than the packaged.

    Raises:
        RecipeError: there is none (the known ones are listed), or its file is wrong.
    """
    folder = folder or tables_folder()
    if name not in (known := known_tables(folder)):
        raise RecipeError(
            f"no table {name!r}",
            expected=f"one of {', '.join(known) or 'none'}",
            do=did_you_mean(name, known),
        )
    path = folder / f"{name}.yaml"
    table = PublishedTable(
        name,
        load_model(path, TableFile, "table", RecipeError),
        load_model(folder / "shared.yaml", Shared, "table", RecipeError),
        folder,
    )
    _check(table, path)
    return table


def find_table(name: str) -> PublishedTable:
    """The packaged table called ``name``, or the one in the file ``name`` (``shared.yaml`` is beside it).

    Raises:
        RecipeError: as `load_table`.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return load_table(path.stem, path.parent)
    return load_table(name)


def _check(table: PublishedTable, path: Path) -> None:
    """Raise a RecipeError unless every name is known, no name is used twice, and all rows are full."""
    wrong = [
        f"unknown setting {group.setting}"
        for group in table.content.columns
        if group.setting not in table.shared.settings
    ]
    wrong += [f"unknown method {row.method}" for row in table.rows if row.method not in table.shared.methods]
    if not wrong:
        width = len(table.columns)
        wrong += [
            f"{row.name} has {len(row.values)} values for {width} columns"
            for row in table.rows
            if len(row.values) != width
        ]
        for kind, names in (
            ("row", [r.name for r in table.rows]),
            ("column", [c.key for c in table.columns]),
        ):
            wrong += [f"two of {kind} {name}" for name in sorted(set(names)) if names.count(name) > 1]
    if wrong:
        raise RecipeError(f"wrong table ({'; '.join(wrong)})", where=path)


def _prefix(group: ColumnGroup, place: Place) -> tuple[str, ...]:
    return (group.key, str(place)) if isinstance(group.at, tuple) else (group.key,)


def slug(text: str) -> str:
    """``text`` as part of a run's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
