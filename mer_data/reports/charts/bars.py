"""The charts of a corpus: label and length histograms, class shares; readable in grey and in the dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mer_data.reports.charts.style import (
    CLASS_COLOURS,
    COLOURS,
    INK,
    PAGE_STYLE,
    PAPER,
    show_percent,
    styled,
)

WIDTH_IN = 5.5
"""The width of a page's text, and little enough for numbers to be read on a telephone."""
ROW_IN = 0.175
SHARE_WITH_NUMBER = 0.055
"""Smallest share whose number fits into its bar."""
FOLD_COLOURS = COLOURS[::2]


@styled(PAGE_STYLE)
def stacked_histogram(parts: Mapping[str, NDArray[np.floating]], *, width: float, x_label: str) -> Figure:
    """Utterances by value, the parts (at most three) on top of each other; a bar is centred on 0."""
    figure = Figure(figsize=(WIDTH_IN, 2.9), layout="constrained")
    axes = figure.add_subplot()
    values = np.concatenate(list(parts.values()))
    first, last = (round(float(end) / width) for end in (values.min(), values.max()))
    edges = (np.arange(first, last + 2) - 0.5) * width
    below = np.zeros(len(edges) - 1, dtype=np.int64)
    for (name, part), colour in zip(parts.items(), FOLD_COLOURS, strict=False):
        counts = np.histogram(part, edges)[0]
        centres = (edges[:-1] + edges[1:]) / 2
        axes.bar(centres, counts, 0.82 * width, below, label=name, color=colour)
        below = below + counts
    axes.set(xlabel=x_label, ylabel="Utterances")
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    figure.legend(loc="outside upper right", ncols=len(parts))
    return figure


@styled(PAGE_STYLE)
def length_histograms(panels: Mapping[str, NDArray[np.floating]], limits: Mapping[str, float]) -> Figure:
    """One histogram a panel, to the 99th percentile, with the median and the limit where it is in sight.

    Args:
        panels: for every label of an x axis its values.
        limits: for some of the labels the longest row that a model is served.
    """
    num_rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(WIDTH_IN, 2.0 * num_rows + 0.2), layout="constrained")
    for place, (label, values) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(num_rows, min(2, len(panels)), place)
        last, median = float(np.quantile(values, 0.99)), float(np.median(values))
        axes.hist(values[values <= last], bins=_edges(values, last).tolist(), color=FOLD_COLOURS[1])
        axes.axvline(median, color=INK, linewidth=1.1)
        limit = limits.get(label)
        if limit is not None and limit <= last:
            axes.axvline(limit, color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.set_xlabel(label)
        axes.set_title(
            f"median {_short(median)}, longest {_short(values.max())}", fontsize="small", loc="right"
        )
        axes.set_ylabel("Utterances" if place % 2 else "")
        axes.grid(axis="y")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    return figure


def _short(value: float) -> str:
    """One decimal, where it has any."""
    return f"{value:,.1f}".removesuffix(".0")


def _edges(values: NDArray[np.floating], last: float) -> NDArray[np.floating]:
    """Borders of at most forty bars of equal width; whole numbers are never divided unevenly."""
    if np.all(values == np.rint(values)):
        step = max(1, int(np.ceil((last - values.min() + 1) / 40)))
        return np.arange(values.min(), last + 1 + step, step) - 0.5
    return np.linspace(values.min(), last, 31)


@dataclass(frozen=True)
class ShareRow:
    """One bar of ``share_bars``; rows of one group stand together under its name."""

    group: str
    name: str
    shares: Sequence[float]


@styled(PAGE_STYLE)
def share_bars(rows: Sequence[ShareRow], classes: Sequence[str]) -> Figure:
    """Class shares as bars that add up to 100 %, from the first class (dark) to the last (light)."""
    groups = list(dict.fromkeys(row.group for row in rows))
    places = [-(i + 1.9 * groups.index(row.group)) for i, row in enumerate(rows)]
    height = ROW_IN * (len(rows) + 1.9 * len(groups)) + 0.75
    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    axes = figure.add_subplot()
    steps = np.linspace(0, len(CLASS_COLOURS) - 1, len(classes)).round().astype(int)
    left = np.zeros(len(rows))
    for number, (name, step) in enumerate(zip(classes, steps, strict=True)):
        widths = np.array([row.shares[number] for row in rows])
        axes.barh(
            places, widths, 0.86, left, label=name, color=CLASS_COLOURS[step], edgecolor=PAPER, linewidth=0.7
        )
        colour = "#ffffff" if step < len(CLASS_COLOURS) // 2 + 1 else "#101010"
        for place, start, share in zip(places, left, widths, strict=True):
            if share >= SHARE_WITH_NUMBER:
                text = f"{100 * share:.0f}"
                look: Any = {"color": colour, "ha": "center", "va": "center_baseline", "fontsize": 8}
                axes.text(start + share / 2, place, text, **look)
        left = left + widths
    for group in groups:
        top = max(place for place, row in zip(places, rows, strict=True) if row.group == group)
        axes.text(0, top + 0.62, group, ha="left", va="bottom", fontsize=9, fontweight="bold")
    axes.set_yticks(places, [row.name for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), ylim=(min(places) - 0.6, 2.0))
    show_percent(axes.xaxis)
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(classes), handlelength=1.1, columnspacing=1.2)
    return figure
