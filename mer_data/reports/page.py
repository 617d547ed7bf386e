"""``Report``: text, tables and figures once, rendered as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from mer_data.errors import MerDataError
from mer_data.files.writing import write_text
from mer_data.reports.charts.svg import DARK_COLOURS
from mer_data.reports.templating import render

MARKDOWN_NAME = "summary.md"
HTML_NAME = "summary.html"


@dataclass(frozen=True)
class Table:
    """A table: its caption, and a frame of formatted values; the columns are shown, the index is not.

    Attributes:
        caption: what it shows.
        frame: the values.
        text_columns: columns of running text, which is aligned left and broken into lines.
        folded: the HTML page shows the caption alone until a reader opens the table.
    """

    caption: str
    frame: pd.DataFrame
    text_columns: Sequence[str] = ()
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure: the path of a PNG, its caption, and what it shows for those who cannot see it."""

    path: Path
    caption: str
    alt: str

    def encoded(self) -> str:
        """Bytes of the PNG in base 64.

        Raises:
            MerDataError: the file is missing.
        """
        if not self.path.is_file():
            raise MerDataError("the PNG of a figure is missing", where=self.path, do="Draw the figure first")
        return base64.b64encode(self.path.read_bytes()).decode("ascii")

    def address(self, folder: Path | None) -> str:
        """Path relative to the page's folder, with what a Markdown link cannot hold encoded."""
        relative = self.path if folder is None else Path(os.path.relpath(self.path, folder))
        return re.sub(r"[% ()]", lambda found: quote(found.group()), relative.as_posix())


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG elements in the HTML page (``mer_data.reports.charts.svg``); Markdown has its texts."""

    svg: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then facts, tables, figures, folded tables and sections of its own.

    Attributes:
        heading: its title.
        paragraphs: running text.
        facts: terms, each with its text; line breaks of a text are kept.
        tables: in order, the folded ones after the figures.
        figures: in order.
        sections: parts of it.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure | Drawing] = ()
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()


@dataclass(frozen=True)
class Report:
    """A page. All text is plain: whatever has a meaning in Markdown or HTML is escaped.

    Attributes:
        title: the page's title.
        intro: paragraphs before the first section.
        sections: the rest, in order.
        contents: whether the HTML page begins with links to its sections.
    """

    title: str
    intro: Sequence[str] = ()
    sections: Sequence[Section] = field(default=())
    contents: bool = False

    def to_markdown(self, folder: Path | None = None) -> str:
        """The page as GitHub-flavoured Markdown; links to figures are relative to ``folder`` if given."""
        text = render("page.md.j2", report=self, folder=folder)
        # Values are on one line each, so empty lines are those of the template alone.
        return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"

    def to_html(self) -> str:
        """The page as one HTML file that needs no other: styles and figures are inside.

        Raises:
            MerDataError: the PNG of a figure is missing.
        """
        return render("page.html.j2", report=self, drawing_colours=DARK_COLOURS)

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``summary.md`` and ``summary.html`` into ``folder``; the paths of both."""
        folder = Path(folder)
        paths = [folder / MARKDOWN_NAME, folder / HTML_NAME]
        for path, text in zip(paths, (self.to_markdown(folder), self.to_html()), strict=True):
            write_text(path, text)
        return paths
