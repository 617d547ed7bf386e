"""Matrices of shares as shaded cells with their numbers in them: confusion matrices, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_data.errors import MerDataError
from mer_data.reports.charts.style import save_titled

_COLOURS = "Blues"
"""From white to dark, so that a print in grey keeps the order."""
_DARK = 0.55
"""Share of the scale from which numbers are white."""
_PANELS_PER_ROW = 3
_CELL, _LETTER, _LEAST_WIDTH = 0.36, 0.085, 6.4
"""Inches of a cell, of a letter in it, and of the narrowest chart."""


@dataclass(frozen=True)
class Matrix:
    """One panel.

    Attributes:
        title: what it shows.
        values: (rows, columns), what is shaded; NaN leaves a cell empty.
        texts: what is written into each cell.
    """

    title: str
    values: NDArray[np.float64]
    texts: Sequence[Sequence[str]]


def matrix_chart(
    panels: Sequence[Matrix],
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    row_label: str,
    column_label: str,
    title: str,
    path_stem: Path,
    scale: tuple[float, float] = (0.0, 1.0),
) -> list[Path]:
    """Draw matrices beside each other and save them as PNG (150 dpi) and PDF; equal input gives equal bytes.

    Args:
        panels: matrices with equal rows and columns.
        row_names: of every panel.
        column_names: of every panel.
        row_label: what rows are.
        column_label: what columns are.
        title: what the chart shows.
        path_stem: folder and name of the files, without ending.
        scale: the values that are white and darkest.

    Returns:
        The paths of the PNG and the PDF.

    Raises:
        MerDataError: no panel, or one whose values or texts do not fit the names.
    """
    shape = len(row_names), len(column_names)
    if not panels:
        raise MerDataError(f'chart "{title}" has no panels')
    for panel in panels:
        if panel.values.shape != shape or [len(row) for row in panel.texts] != [shape[1]] * shape[0]:
            raise MerDataError(
                f'matrix "{panel.title}" of chart "{title}" does not fit its names',
                found=panel.values.shape,
                expected=shape,
            )
    num_columns = min(len(panels), _PANELS_PER_ROW)
    num_rows = -(-len(panels) // num_columns)
    texts = (*column_names, *(cell for panel in panels for row in panel.texts for cell in row))
    width = shape[1] * max(_CELL, _LETTER * max(map(len, texts)))
    height = shape[0] * _CELL
    margin = 0.5 + _LETTER * max(map(len, row_names))
    figure = Figure(
        figsize=(max(_LEAST_WIDTH, margin + num_columns * (width + 0.15)), 0.8 + num_rows * (height + 0.45)),
        layout="constrained",
    )
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(panels):
            axes.set_axis_off()
            continue
        _draw(axes, panels[number], scale)
        axes.set_title(panels[number].title, fontsize="medium")
        axes.set_xticks(range(shape[1]), column_names, fontsize="small")
        axes.set_yticks(range(shape[0]), row_names if number % num_columns == 0 else [""] * shape[0])
        axes.tick_params(length=0, labelsize="small")
    figure.supxlabel(column_label, fontsize="medium")
    figure.supylabel(row_label, fontsize="medium")
    return save_titled(figure, title, path_stem)


def _draw(axes: Axes, panel: Matrix, scale: tuple[float, float]) -> None:
    """Cells with white lines between them, and the text of each."""
    low, high = scale
    rows, columns = panel.values.shape
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    axes.pcolormesh(
        *edges, np.ma.masked_invalid(panel.values), cmap=_COLOURS, vmin=low, vmax=high, edgecolors="white"
    )
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    for row, texts in enumerate(panel.texts):
        for column, text in enumerate(texts):
            colour = "white" if panel.values[row, column] > low + _DARK * (high - low) else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize="small", color=colour)
