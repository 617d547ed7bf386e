"""How every chart looks and is saved: colours that differ in grey too, series, rows of names, PNG and PDF."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mer_data.files.writing import complete_or_absent

P = ParamSpec("P")
R = TypeVar("R")
Point = tuple[float, float, float | None]
"""x, mean, and standard deviation where there is one."""

PNG_DPI = 150
TITLE_CHARACTERS = 72
"""What fits on a line of a chart that is 6.4 inches wide."""
# Neither file holds a date or the version of a program, so equal charts are equal files.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

INK, MUTED, GRID, PAPER = "#1b1b1c", "#6a6a6c", "#dddde0", "#fffffe"
CLASS_COLOURS = ("#00224e", "#17466f", "#2a6b86", "#4b8f96", "#76b094", "#a7cea0", "#dcedc5")
"""Of the seven classes, from negative (dark) to positive (light)."""
COLOURS = ("#00204d", "#8c2d04", "#2a788e", "#c2689b", "#86c08c")
"""Of series: dark to light, each at least a tenth of the grey scale from the next."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[tuple[int, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 1.5)),
    (0, (1.5, 1.5)),
    (0, (6, 1.5, 1.5, 1.5)),
)
MOST_SERIES = len(COLOURS) * len(_DASHES)

_COMMON: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
FILE_STYLE: Any = {**_COMMON, "grid.color": "0.88"}
"""Settings of matplotlib for charts that are files of their own, on white."""
PAGE_STYLE: Any = {
    **_COMMON,
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "mer-data",  # else the ids inside differ from run to run
}
"""Settings of matplotlib for charts inside a page, while they are drawn and saved."""


def styled(settings: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Draw under these settings, without the global state of pyplot."""

    def decorate(draw: Callable[P, R]) -> Callable[P, R]:
        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
            with rc_context(settings):
                return draw(*args, **kwargs)

        return drawn

    return decorate


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
        COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)], _DASHES[index % len(_DASHES)]
    )


def draw_series(
    axes: Axes, name: str, points: Sequence[Point], style: SeriesStyle, **more: Any
) -> ErrorbarContainer:
    """One line with markers, and bars of one standard deviation where there are any."""
    x, mean, deviation = zip(*points, strict=True)
    has_deviation = any(value is not None for value in deviation)
    return axes.errorbar(
        x,
        mean,
        yerr=[value or 0.0 for value in deviation] if has_deviation else None,
        label=name,
        color=style.colour,
        marker=style.marker,
        markersize=style.marker_size,
        linewidth=style.width,
        capsize=2.5,
        **more,
    )


def rows_of_names(axes: Axes, names: Sequence[str], margin: float) -> np.ndarray:
    """Put names on the y axis from top to bottom; their places (N,)."""
    places = -np.arange(len(names), dtype=np.float64)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(places.min() - margin, margin)
    return places


def save_titled(figure: Figure, title: str, path_stem: Path, line: int = TITLE_CHARACTERS) -> list[Path]:
    """Put a title of lines of so many characters over a chart and save it; the paths."""
    figure.suptitle(textwrap.fill(title, line), x=0.02, ha="left", fontsize="medium")
    return save_figure(figure, path_stem)


def show_percent(axis: Axis, decimals: int | None = None) -> None:
    """Show shares in percent."""
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=decimals))


def save_figure(figure: Figure, path_stem: Path) -> list[Path]:
    """Save a chart as PNG (150 dpi) and PDF; equal charts give equal bytes.

    Returns:
        The paths of the PNG and the PDF.
    """
    FigureCanvasAgg(figure)
    paths = []
    for kind, metadata in _METADATA.items():
        target = path_stem.with_name(f"{path_stem.name}.{kind}")
        with complete_or_absent(target) as partial:
            figure.savefig(partial, format=kind, dpi=PNG_DPI, metadata=metadata)
        paths.append(target)
    return paths
