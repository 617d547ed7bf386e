"""The charts of a shift: every split beside its baselines, words that moved, curves with levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mer_data.reports.charts.bars import ROW_IN, WIDTH_IN
from mer_data.reports.charts.style import (
    COLOURS,
    MUTED,
    PAGE_STYLE,
    PAPER,
    draw_series,
    rows_of_names,
    series_style,
    show_percent,
    styled,
)
from mer_data.reports.formatting import ShiftMeasure

Spread = tuple[float, float | None]
"""A mean, and a standard deviation where there is one."""


@dataclass(frozen=True)
class DotPanel:
    """A panel of ``dot_rows``: one measure of every row, with what it is compared with."""

    label: str
    measures: Sequence[ShiftMeasure]
    percent: bool = False


@styled(PAGE_STYLE)
def dot_rows(names: Sequence[str], panels: Sequence[DotPanel]) -> Figure:
    """A row a split: its own value, that of the standard folds, and random splits with their deviation."""
    height = 0.27 * len(names) + 1.15
    figure = Figure(figsize=(WIDTH_IN, height), layout=ConstrainedLayoutEngine(wspace=0.07))
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        places = rows_of_names(axes, names if number == 1 else [""] * len(names), 0.6)
        values, standard, mean, deviation = np.array([astuple(row) for row in panel.measures], float).T
        axes.errorbar(
            mean,
            places,
            xerr=np.nan_to_num(deviation),
            color=MUTED,
            fmt="D",
            markersize=8,
            markerfacecolor=PAPER,
            elinewidth=1.2,
            label="random splits",
            zorder=2,
        )
        look: Any = {
            "linestyle": "",
            "color": COLOURS[1],
            "marker": "|",
            "markersize": 13,
            "markeredgewidth": 2,
        }
        axes.plot(standard, places, label="standard folds", zorder=3, **look)
        look = {"linestyle": "", "color": COLOURS[0], "marker": "o", "markersize": 5}
        axes.plot(values, places, label="this split", zorder=4, **look)
        axes.set_xlabel(panel.label)
        axes.set_xlim(0, 1.06 * axes.get_xlim()[1])
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.grid(axis="both")
        if panel.percent:
            show_percent(axes.xaxis, 0)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    return figure


@dataclass(frozen=True)
class Dumbbell:
    """One row of ``dumbbells``: a word and its value on the two sides, None where it does not occur."""

    name: str
    rest: float | None
    shifted: float | None


@styled(PAGE_STYLE)
def dumbbells(
    rows: Sequence[Dumbbell],
    *,
    sides: tuple[str, str],
    x_label: str,
    x_range: tuple[float, float],
    corpus: float | None,
    percent: bool,
) -> Figure:
    """How far every word moved: hollow on the training side, filled on the shifted side.

    Args:
        rows: from top to bottom.
        sides: names of the training side and of the shifted side.
        x_label: what the value is.
        x_range: its range.
        corpus: the value of the whole corpus, a line for comparison.
        percent: values are shares, shown in percent.
    """
    figure = Figure(figsize=(WIDTH_IN, ROW_IN * len(rows) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    places = rows_of_names(axes, [row.name for row in rows], 0.7)
    rest, shifted = _floats([row.rest for row in rows]), _floats([row.shifted for row in rows])
    dark, light, *_ = COLOURS
    if corpus is not None:
        axes.axvline(corpus, color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="all utterances")
    axes.hlines(places, rest, shifted, color=MUTED, linewidth=1.4)
    hollow: Any = {"color": PAPER, "markeredgecolor": dark, "markeredgewidth": 1.6, "markersize": 6}
    axes.plot(rest, places, "o", label=sides[0], **hollow)
    axes.plot(shifted, places, "D", color=light, markersize=5.5, label=sides[1])
    margin = 0.02 * (x_range[1] - x_range[0])
    axes.set(xlim=(x_range[0] - margin, x_range[1] + margin), xlabel=x_label)
    axes.grid(axis="both")
    if percent:
        show_percent(axes.xaxis)
    figure.legend(loc="outside upper right", ncols=3)
    return figure


@dataclass(frozen=True)
class CurvePanel:
    """A panel of ``curves``.

    Attributes:
        label: of its y axis.
        series: for every name (mean, deviation) at each x.
        levels: horizontal lines for comparison: for every name of a series label, mean and deviation, as many
            for each.
        percent: values are shares, shown in percent.
    """

    label: str
    series: Mapping[str, Sequence[Spread]]
    levels: Mapping[str, Sequence[tuple[str, Spread]]]
    percent: bool = False


@styled(PAGE_STYLE)
def curves(
    x: Sequence[float], panels: Sequence[CurvePanel], *, x_label: str, mark: tuple[float, str] | None
) -> Figure:
    """Series against x, one panel below the other, with horizontal lines for comparison.

    Args:
        x: positions.
        panels: from top to bottom.
        x_label: what x is.
        mark: a place on the x axis, with its name.
    """
    figure = Figure(figsize=(WIDTH_IN, 2.75 * len(panels) + 0.4), layout="constrained")
    top: Any = None
    index, handles = 0, []
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels), 1, number, sharex=top)
        top = top or axes
        for name, values in panel.series.items():
            style = replace(series_style(index), width=1.7, marker_size=5.5)
            index += 1
            points = [(place, *value) for place, value in zip(x, values, strict=True)]
            handles.append(draw_series(axes, name, points, style, elinewidth=1))
            for place, (label, level) in enumerate(panel.levels.get(name, ())):
                handles.append(_level(axes, label, level, style.colour, dotted=bool(place)))
        axes.set_ylabel(panel.label)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        if panel.percent:
            show_percent(axes.yaxis, 0)
        axes.tick_params(labelbottom=number == len(panels))
        if mark is not None:
            axes.axvline(mark[0], color=MUTED, linewidth=1)
            if number == 1:
                above: Any = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "va": "bottom"}
                axes.annotate(
                    mark[1], (mark[0], 1), xycoords=("data", "axes fraction"), fontsize=8.5, **above
                )
    axes.set_xlabel(x_label)
    figure.align_ylabels()
    figure.legend(handles=handles, loc="outside lower center", ncols=index, handlelength=2.6)
    return figure


def _level(axes: Axes, label: str, level: Spread, colour: str, *, dotted: bool) -> Any:
    """A horizontal line, with a band of one standard deviation where there is one."""
    mean, deviation = level
    line = axes.axhline(
        mean, color=colour, linewidth=1.1, linestyle=(0, (1.2, 1.6)) if dotted else (0, (6, 2.5)), label=label
    )
    if deviation:
        axes.axhspan(mean - deviation, mean + deviation, color=colour, alpha=0.13, linewidth=0)
    return line


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Numbers, NaN where there is none."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
