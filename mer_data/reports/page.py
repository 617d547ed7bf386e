"""``Report``: text, tables and figures once, rendered as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from mer_data.errors import MerDataError
from mer_data.files import write_text

MARKDOWN_NAME = "summary.md"
HTML_NAME = "summary.html"

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 52rem; margin: 0 auto; padding: 1rem; font: 1rem/1.55 system-ui, sans-serif; }
h1, h2 { line-height: 1.25; }
h2 { margin-top: 2.2rem; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; background: white; }
figcaption, caption { text-align: left; font-size: 0.9rem; opacity: 0.85; padding: 0.3rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid #9996; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #999; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow-x: visible; }
  th, td { white-space: normal; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
}
""".strip()


@dataclass(frozen=True)
class Table:
    """A table: its caption, and a frame of formatted values; the columns are shown, the index is not."""

    caption: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Figure:
    """A figure: the path of a PNG, its caption, and what it shows for those who cannot see it."""

    path: Path
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then tables, then figures."""

    heading: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Report:
    """A page. All text is plain: whatever has a meaning in Markdown or HTML is escaped.

    Attributes:
        title: the page's title.
        intro: paragraphs before the first section.
        sections: the rest, in order.
    """

    title: str
    intro: Sequence[str] = ()
    sections: Sequence[Section] = field(default=())

    def to_markdown(self, folder: Path | None = None) -> str:
        """The page as GitHub-flavoured Markdown; links to figures are relative to ``folder`` if given."""
        blocks = [f"# {_markdown(self.title)}", *map(_markdown, self.intro)]
        for section in self.sections:
            blocks += [f"## {_markdown(section.heading)}", *map(_markdown, section.paragraphs)]
            for table in section.tables:
                blocks += [_markdown(table.caption), _markdown_table(table.frame)]
            for figure in section.figures:
                blocks += [
                    f"![{_markdown(figure.alt)}]({_link(figure.path, folder)})",
                    _markdown(figure.caption),
                ]
        return "\n\n".join(block for block in blocks if block) + "\n"

    def to_html(self) -> str:
        """The page as one HTML file that needs no other: styles and figures are inside.

        Raises:
            MerDataError: the PNG of a figure is missing.
        """
        parts = [f"<h1>{escape(self.title)}</h1>", *map(_html_paragraph, self.intro)]
        for section in self.sections:
            parts += ["<section>", f"<h2>{escape(section.heading)}</h2>"]
            parts += map(_html_paragraph, section.paragraphs)
            parts += map(_html_table, section.tables)
            parts += map(_html_figure, section.figures)
            parts.append("</section>")
        return "\n".join(
            [
                "<!doctype html>",
                '<html lang="en">',
                "<head>",
                '<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(self.title)}</title>",
                f"<style>\n{_STYLE}\n</style>",
                "</head>",
                "<body>",
                "<main>",
                *parts,
                "</main>",
                "</body>",
                "</html>",
                "",
            ]
        )

    def write(self, folder: Path) -> list[Path]:
        """Write ``summary.md`` and ``summary.html`` into ``folder``; the paths of both."""
        paths = [folder / MARKDOWN_NAME, folder / HTML_NAME]
        for path, text in zip(paths, (self.to_markdown(folder), self.to_html()), strict=True):
            write_text(path, text)
        return paths


def _markdown(text: str) -> str:
    """Plain text as Markdown: one line, with the marks of Markdown and HTML escaped."""
    line = re.sub(r"[\\`*<>&|\[\]]", lambda mark: "\\" + mark.group(), " ".join(text.split()))
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", line)
    return re.sub(r"^([#+=~-]|\d+[.)](?=\s))", lambda mark: mark.group()[:-1] + "\\" + mark.group()[-1], line)


def _markdown_table(frame: pd.DataFrame) -> str:
    """A pipe table; the first column is aligned left, the others right."""
    header = [_markdown(str(name)) for name in frame.columns]
    marks = [":--", *["--:"] * (len(header) - 1)]
    rows = [[_markdown(str(value)) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, marks, *rows])


def _link(path: Path, folder: Path | None) -> str:
    """Address of a figure, relative to the page's folder, with what a Markdown link cannot hold encoded."""
    relative = path if folder is None else Path(os.path.relpath(path, folder))
    return relative.as_posix().replace("%", "%25").replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def _html_paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def _html_table(table: Table) -> str:
    """A table that scrolls sideways where the screen is narrow."""
    header = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in table.frame.columns)
    rows = []
    for first, *others in table.frame.itertuples(index=False):
        cells = "".join(f"<td>{escape(str(value))}</td>" for value in others)
        rows.append(f'<tr><th scope="row">{escape(str(first))}</th>{cells}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="wide">\n<table>\n<caption>{escape(table.caption)}</caption>\n'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _html_figure(figure: Figure) -> str:
    """A figure with its PNG inside the page."""
    if not figure.path.is_file():
        raise MerDataError("the PNG of a figure is missing", where=figure.path, do="Draw the figure first")
    encoded = base64.b64encode(figure.path.read_bytes()).decode("ascii")
    return (
        f'<figure>\n<img src="data:image/png;base64,{encoded}" alt="{escape(figure.alt)}">\n'
        f"<figcaption>{escape(figure.caption)}</figcaption>\n</figure>"
    )
