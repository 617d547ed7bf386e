"""Scatter plots beside each other; groups differ in marker and lightness, so that grey keeps them apart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_data.errors import MerDataError
from mer_data.reports.charts.style import save_titled, series_style

_PANEL = 2.6
"""Inches of a panel's side."""
_LETTERS_PER_INCH, _LINE = 12, 0.22
"""Of titles: letters on an inch, and inches from line to line."""
_ROW_LETTERS = 30
_POINT: Any = {"s": 13, "alpha": 0.8, "linewidths": 0.3, "edgecolors": "white"}


@dataclass(frozen=True)
class ScatterPanel:
    """One panel: its title, and points (N, 2)."""

    title: str
    points: NDArray[np.float64]


def scatter_chart(
    panels: Sequence[ScatterPanel],
    *,
    groups: NDArray[np.int64],
    group_names: Sequence[str],
    row_names: Sequence[str],
    title: str,
    path_stem: Path,
) -> list[Path]:
    """Draw panels of the same N points and save them as PNG (150 dpi) and PDF; equal input, equal bytes.

    Axes of projections have no unit and no meaning of their own, so they get no numbers.

    Args:
        panels: in reading order, equally many in every row.
        groups: (N,) number of every point's group, the same in every panel.
        group_names: of all groups; those without points are told so in the legend.
        row_names: what the rows of panels show.
        title: what the chart shows.
        path_stem: folder and name of the files, without ending.

    Returns:
        The paths of the PNG and the PDF.

    Raises:
        MerDataError: no panel, or one with another number of points.
    """
    if not panels:
        raise MerDataError(f'chart "{title}" has no panels')
    for panel in panels:
        if panel.points.shape != (len(groups), 2):
            raise MerDataError(
                f'panel "{panel.title}" does not fit the groups',
                found=panel.points.shape,
                expected=(len(groups), 2),
            )
    num_rows, columns = len(row_names), len(panels) // len(row_names)
    width = max(5.2, 0.4 + _PANEL * columns)
    letters = int(_LETTERS_PER_INCH * width)
    height = 0.6 + _LINE * len(textwrap.wrap(title, letters)) + (_PANEL + 2 * _LINE) * num_rows
    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(num_rows, columns, squeeze=False)
    handles = []
    for panel, axes in zip(panels, grid.flat, strict=True):
        handles = [
            axes.scatter(*panel.points[groups == number].T, color=style.colour, marker=style.marker, **_POINT)
            for number in range(len(group_names))
            for style in [series_style(number)]
        ]
        axes.set_title(panel.title, fontsize="small")
        axes.set(xticks=[], yticks=[])
        axes.set_box_aspect(1)
        axes.spines[:].set_color("0.7")
    for name, axes in zip(row_names, grid[:, 0], strict=True):
        axes.set_ylabel(textwrap.fill(name, _ROW_LETTERS), fontsize="small")
    counts = np.bincount(groups, minlength=len(group_names))
    names = [f"{name} ({count})" for name, count in zip(group_names, counts, strict=True)]
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(4, len(names)), frameon=False, markerscale=1.6
    )
    return save_titled(figure, title, path_stem, letters)
