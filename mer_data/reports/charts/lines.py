"""Line charts that stay readable in grey: every series has its own marker, dashes and lightness."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from mer_data.errors import MerDataError
from mer_data.reports.charts.style import (
    FILE_STYLE,
    MOST_SERIES,
    TITLE_CHARACTERS,
    Point,
    SeriesStyle,
    draw_series,
    save_figure,
    series_style,
    show_percent,
    styled,
)

Band = tuple[float, float, float]
"""x, low and high."""
_LEGEND_CHARACTERS = 80
"""What fits on a line of the legend, where an entry needs ten characters more than its name has."""
_GREYS = ("0.35", "0.5", "0.65")


@styled(FILE_STYLE)
def line_chart(
    series: Mapping[str, Sequence[Point]],
    *,
    x_label: str,
    y_label: str,
    title: str,
    path_stem: Path,
    percent: bool = False,
    bands: Mapping[str, Sequence[Band]] | None = None,
    emphasis: Collection[str] | None = None,
) -> list[Path]:
    """Draw a line per series and save it as PNG (150 dpi) and PDF; equal input gives equal bytes.

    Args:
        series: for every name its points (x, mean, standard deviation or None), drawn in order of x;
            a NaN mean leaves a gap.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        title: what the chart shows.
        path_stem: folder and name of the files, without ending.
        percent: y values are shares in [0, 1], shown in percent.
        bands: for some of the series an interval around the line, shaded.
        emphasis: names of the series that stand out; the others are thin and grey behind them.

    Returns:
        The paths of the PNG and the PDF.

    Raises:
        MerDataError: no series, more than can be told apart, or a series without points.
    """
    if not 1 <= len(series) <= MOST_SERIES:
        raise MerDataError(
            f'chart "{title}" has an impossible number of series',
            found=len(series),
            expected=f"1 to {MOST_SERIES}",
        )
    for name, points in series.items():
        if not points:
            raise MerDataError(f'series "{name}" of chart "{title}" has no points')
    num_columns = max(1, min(len(series), _LEGEND_CHARACTERS // (max(map(len, series)) + 10)))
    figure = Figure(figsize=(6.4, 4.1 + 0.22 * math.ceil(len(series) / num_columns)), layout="constrained")
    axes = figure.add_subplot()
    styles = _styles(list(series), emphasis)
    for name, points in series.items():
        style = styles[name]
        draw_series(
            axes,
            name,
            sorted(points, key=lambda point: point[0]),
            style,
            linestyle=style.dashes,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=2 + style.width / 10,
            elinewidth=0.9,
        )
        if bands and name in bands:
            x, low, high = zip(*sorted(bands[name]), strict=True)
            axes.fill_between(x, low, high, color=style.colour, alpha=0.14, linewidth=0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(textwrap.fill(title, TITLE_CHARACTERS), loc="left", fontsize="medium")
    axes.grid(axis="y")
    if percent:
        show_percent(axes.yaxis)
    figure.legend(loc="outside lower center", ncols=num_columns, handlelength=3.5)
    return save_figure(figure, path_stem)


def _styles(names: Sequence[str], emphasis: Collection[str] | None) -> dict[str, SeriesStyle]:
    """The style of every series, counted on its own among those that stand out and among the others."""
    if emphasis is None:
        return {name: series_style(index) for index, name in enumerate(names)}
    front = [name for name in names if name in emphasis]
    back = [name for name in names if name not in emphasis]
    return {
        **{name: replace(series_style(index), width=2.4) for index, name in enumerate(front)},
        **{
            name: replace(series_style(index), colour=_GREYS[index % len(_GREYS)], width=0.9, marker_size=3.5)
            for index, name in enumerate(back)
        },
    }
