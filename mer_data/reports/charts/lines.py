"""Line charts that stay readable in grey: every series has its own marker, dashes and lightness."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mer_data.errors import MerDataError
from mer_data.files.writing import complete_or_absent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float, float | None]
"""x, mean, and standard deviation where there is one."""
Band = tuple[float, float, float]
"""x, low and high."""

PNG_DPI = 150
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
TITLE_CHARACTERS = 72
LEGEND_CHARACTERS = 80
"""What fits on a line of a chart, where a legend entry needs ten characters beside its name."""
_COLOURS = ("#00204d", "#8c2d04", "#2a788e", "#c2689b", "#86c08c")
"""Dark to light, each at least a tenth of the grey scale from the next."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 1.5)),
    (0, (1.5, 1.5)),
    (0, (6, 1.5, 1.5, 1.5)),
)
_GREYS = ("0.35", "0.5", "0.65")
NUM_COLOURS = len(_COLOURS)
MOST_SERIES = NUM_COLOURS * len(_DASHES)


@dataclass(frozen=True)
class SeriesStyle:
    """How one series is drawn."""

    colour: str
    marker: str
    dashes: tuple[int, tuple[float, ...]]
    width: float = 1.6
    marker_size: float = 5


def series_style(index: int) -> SeriesStyle:
    """The style of series ``index``: no two of ``MOST_SERIES`` are equal, neighbours differ in everything."""
    return SeriesStyle(
        _COLOURS[index % len(_COLOURS)], _MARKERS[index % len(_MARKERS)], _DASHES[index % len(_DASHES)]
    )


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
    styles = _styles(list(series), emphasis)
    figure = _draw(
        series, styles, bands or {}, x_label=x_label, y_label=y_label, title=title, percent=percent
    )
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


def _draw(
    series: Mapping[str, Sequence[Point]],
    styles: Mapping[str, SeriesStyle],
    bands: Mapping[str, Sequence[Band]],
    *,
    x_label: str,
    y_label: str,
    title: str,
    percent: bool,
) -> Figure:
    """The chart, without the global state of pyplot."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    num_columns = max(1, min(len(series), LEGEND_CHARACTERS // (max(map(len, series)) + 10)))
    num_legend_rows = math.ceil(len(series) / num_columns)
    figure = Figure(figsize=(6.4, 4.1 + 0.22 * num_legend_rows), layout="constrained")
    axes = figure.add_subplot()
    for name, points in series.items():
        style = styles[name]
        _draw_series(axes, name, sorted(points, key=lambda point: point[0]), style)
        if name in bands:
            x, low, high = zip(*sorted(bands[name]), strict=True)
            axes.fill_between(x, low, high, color=style.colour, alpha=0.14, linewidth=0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(textwrap.fill(title, TITLE_CHARACTERS), loc="left", fontsize="medium")
    axes.grid(axis="y", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    figure.legend(loc="outside lower center", ncols=num_columns, frameon=False, handlelength=3.5)
    return figure


def _draw_series(axes: Axes, name: str, points: Sequence[Point], style: SeriesStyle) -> None:
    """One line with markers, and bars of one standard deviation where there are any."""
    x, mean, deviation = zip(*points, strict=True)
    has_deviation = any(value is not None for value in deviation)
    axes.errorbar(
        x,
        mean,
        yerr=[value or 0.0 for value in deviation] if has_deviation else None,
        label=name,
        color=style.colour,
        marker=style.marker,
        markersize=style.marker_size,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linewidth=style.width,
        linestyle=style.dashes,
        zorder=2 + style.width / 10,
        elinewidth=0.9,
        capsize=2.5,
    )


def save_figure(figure: Figure, path_stem: Path) -> list[Path]:
    """Save a chart as PNG (150 dpi) and PDF without dates or program versions in them.

    Returns:
        The paths of the PNG and the PDF.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in _METADATA.items():
        target = path_stem.with_name(f"{path_stem.name}.{kind}")
        with complete_or_absent(target) as partial:
            figure.savefig(partial, format=kind, dpi=PNG_DPI, metadata=metadata)
        paths.append(target)
    return paths
