"""A reproduced table for a person: one frame per group of columns, with our lines under the published one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from cider.paper.cells import Cell, Spread
from cider.paper.plan import Plan
from cider.paper.schema import Unit
from cider.paper.tables import Column
from cider.reports.tables import METRIC_TITLES, percent

TITLES = {
    **METRIC_TITLES,
    "parameters": "Parameters",
    "gpu_memory": "GPU memory (GiB)",
    "epoch_time": "Seconds per epoch",
}
NOT_RUN = "not run"
PUBLISHED_ONLY = "published only"
_DASH = "-"
_FOLDS = {"iid": "standard folds", "ood": "out-of-distribution split"}
_PLACES = {
    "complete": "complete data",
    "auilc": "AUILC over missing rates 0.0 to 1.0",
    "training": "cost of training",
}
_Text = Callable[[Cell, Unit], str]


@dataclass(frozen=True)
class ShownTable:
    """Some columns of a table. ``caption`` says what they are."""

    caption: str
    frame: pd.DataFrame


def shown_tables(plan: Plan, cells: Mapping[str, Mapping[str, Cell]]) -> list[ShownTable]:
    """The chosen columns: all metrics of a place in one table, or one metric over several places."""
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in plan.columns:
        several = len({one.place for one in plan.columns if one.group == column.group}) > 1
        groups.setdefault((column.group, column.metric if several else ""), []).append(column)
    return [
        ShownTable(_caption(columns, metric), _frame(plan, cells, columns, by_place=bool(metric)))
        for (_, metric), columns in groups.items()
    ]


def in_unit(value: float | None, unit: Unit, *, sign: bool = False) -> str:
    """A number as the table prints it; a dash where there is none."""
    if value is None or value != value:
        return _DASH
    if unit == "percent":
        return percent(value / 100, sign=sign)
    return f"{value:{'+' if sign else ''}{',.0f' if unit == 'count' else '.1f'}}"


def _caption(columns: list[Column], metric: str) -> str:
    first = columns[0]
    setting = first.setting
    corpora = [setting.trained_on]
    if setting.tested_on != setting.trained_on:
        corpora.append(setting.tested_on)
    if not metric:
        what = _PLACES.get(str(first.place), f"missing rate {first.place}")
    elif first.pattern == "smm":
        what = f"{TITLES[metric]} by the modalities kept (text L, audio A, vision V)"
    else:
        what = f"{TITLES[metric]} by missing rate"
    pattern = "" if first.pattern is None else f", pattern {first.pattern}"
    unit = " Percent." if first.unit == "percent" else ""
    return (
        f"{' to '.join(corpora)}, {setting.alignment}, {_FOLDS[setting.distribution]}: {what}{pattern}.{unit}"
    )


def _frame(
    plan: Plan, cells: Mapping[str, Mapping[str, Cell]], columns: list[Column], *, by_place: bool
) -> pd.DataFrame:
    titles = [str(column.place) if by_place else TITLES[column.metric] for column in columns]
    rows = []
    for row in plan.table.rows:
        own = [cells[row.name][column.key] for column in columns]
        for name, text in _lines(own, measured=columns[0].place == "training").items():
            texts = [text(cell, column.unit) for cell, column in zip(own, columns, strict=True)]
            rows.append({"Row": row.name, "Numbers": name, **dict(zip(titles, texts, strict=True))})
    return pd.DataFrame(rows)


def _lines(cells: list[Cell], *, measured: bool) -> dict[str, _Text]:
    """The lines of a row, each with how its cells are made."""
    if not any(cell.has_run for cell in cells):
        return {PUBLISHED_ONLY: _published}
    if not any(cell.strict for cell in cells):
        lines: dict[str, _Text] = {"published": _published, "ours": _strict}
    elif measured:
        lines = {
            "published": _published,
            "measured here": _strict,
            "measured - published": _strict_difference,
        }
    else:
        lines = {
            "published": _published,
            "ours, strict": _strict,
            "strict - published": _strict_difference,
            "ours, paper": _paper,
            "paper - published": _paper_difference,
        }
    if all(cell.published is None for cell in cells):
        return {name: text for name, text in lines.items() if not name.endswith("published")}
    return lines


def _published(cell: Cell, unit: Unit) -> str:
    return in_unit(cell.published, unit)


def _strict(cell: Cell, unit: Unit) -> str:
    return _ours(cell.strict, unit)


def _paper(cell: Cell, unit: Unit) -> str:
    return _ours(cell.paper, unit)


def _ours(spread: Spread | None, unit: Unit) -> str:
    if spread is None:
        return NOT_RUN
    mean, deviation = in_unit(spread.mean, unit), spread.deviation
    return mean if deviation != deviation else f"{mean} ± {in_unit(deviation, unit)}"


def _strict_difference(cell: Cell, unit: Unit) -> str:
    return in_unit(cell.difference(cell.strict), unit, sign=True)


def _paper_difference(cell: Cell, unit: Unit) -> str:
    return in_unit(cell.difference(cell.paper), unit, sign=True)
