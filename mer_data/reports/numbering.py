"""The figures and tables of one page, numbered in the order in which they are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mer_data.reports.charts.style import save_figure
from mer_data.reports.charts.svg import inline_svg
from mer_data.reports.page import Drawing, Table


class Numbering:
    """Numbers captions, and keeps the charts so that they can be saved as files as well."""

    def __init__(self) -> None:
        """Begin with figure 1 and table 1."""
        self.charts: dict[str, Figure] = {}
        self._num_tables = 0

    def draw(self, name: str, figure: Figure, caption: str, alt: str) -> Drawing:
        """A chart for the page; ``name`` is that of its files."""
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        self.charts[plain] = figure
        number = len(self.charts)
        return Drawing(inline_svg(figure, f"f{number}", alt), f"Figure {number}. {caption}", alt)

    def table(
        self,
        caption: str,
        rows: Sequence[dict[str, str]],
        *,
        text_columns: Sequence[str] = (),
        folded: bool = False,
    ) -> Table:
        """A table of the rows."""
        self._num_tables += 1
        return Table(f"Table {self._num_tables}. {caption}", pd.DataFrame(rows), text_columns, folded)

    def save(self, folder: Path) -> list[Path]:
        """Write every chart as PDF and PNG; the paths."""
        return [path for name, chart in self.charts.items() for path in save_figure(chart, folder / name)]
