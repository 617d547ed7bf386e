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
from mer_data.files.writing import write_text
from mer_data.reports.charts.svg import DRAWING_STYLE

MARKDOWN_NAME = "summary.md"
HTML_NAME = "summary.html"

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 56rem; margin: 0 auto; padding: 1rem; font: 1rem/1.55 system-ui, sans-serif; }
h1, h2 { line-height: 1.25; }
p { overflow-wrap: anywhere; }
h2 { margin-top: 2.2rem; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; background: white; }
figcaption, caption { text-align: left; font-size: 0.9rem; opacity: 0.85; padding: 0.3rem 0; }
h3 { margin-top: 1.8rem; overflow-wrap: anywhere; }
nav ul { columns: 2 16rem; padding-left: 1.2rem; }
nav + p, nav { font-size: 0.95rem; }
a { color: inherit; }
dt { font-weight: 600; overflow-wrap: anywhere; }
dd { margin: 0 0 0.7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; font-size: 0.9rem; padding: 0.3rem 0; }
.wide { overflow-x: auto; container-type: inline-size; margin: 1rem 0; }
figure .wide { margin: 0; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.6rem; text-align: right; border-bottom: 1px solid #9996; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { white-space: normal; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody th, thead th:first-child { position: sticky; left: 0; background: Canvas padding-box; }
caption span { display: block; position: sticky; left: 0; max-width: 100cqi; }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
thead th { border-bottom: 2px solid #999; }
wbr { display: none; }
@media screen and (max-width: 40rem) {
  wbr { display: inline; }
  tbody th { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
  th, td { padding: 0.3rem 0.4rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow-x: visible; break-inside: avoid; }
  table { font-size: 9pt; }
  th, td { padding: 0.2rem 0.5rem; }
  h3 { margin: 0.8rem 0 0.4rem; }
  figure { margin: 0.5rem 0; }
  h2, h3, dt, summary { break-after: avoid; }
  figure, tr, dd { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
""".strip()


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
        blocks = [f"# {_markdown(self.title)}", *map(_markdown, self.intro)]
        for section in self.sections:
            blocks += _markdown_section(section, folder, level=2)
        return "\n\n".join(block for block in blocks if block) + "\n"

    def to_html(self) -> str:
        """The page as one HTML file that needs no other: styles and figures are inside.

        Raises:
            MerDataError: the PNG of a figure is missing.
        """
        parts = [f"<h1>{escape(self.title)}</h1>", *map(_html_paragraph, self.intro)]
        if self.contents:
            parts.append(_html_contents(self.sections))
        for number, section in enumerate(self.sections, start=1):
            parts += _html_section(section, f"s{number}", level=2)
        return "\n".join(
            [
                "<!doctype html>",
                '<html lang="en">',
                "<head>",
                '<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                f"<title>{escape(self.title)}</title>",
                f"<style>\n{_STYLE}\n{DRAWING_STYLE}\n</style>",
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

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``summary.md`` and ``summary.html`` into ``folder``; the paths of both."""
        folder = Path(folder)
        paths = [folder / MARKDOWN_NAME, folder / HTML_NAME]
        for path, text in zip(paths, (self.to_markdown(folder), self.to_html()), strict=True):
            write_text(path, text)
        return paths


def _markdown_section(section: Section, folder: Path | None, level: int) -> list[str]:
    """The blocks of a section and its parts."""
    blocks = [f"{'#' * level} {_markdown(section.heading)}", *map(_markdown, section.paragraphs)]
    blocks += [f"**{_markdown(term)}**: {_markdown(text)}" for term, text in section.facts]
    for table in section.tables:
        blocks += [_markdown(table.caption), _markdown_table(table.frame)]
    for figure in section.figures:
        alt = _markdown(figure.alt)
        shown = f"![{alt}]({_link(figure.path, folder)})" if isinstance(figure, Figure) else alt
        blocks += [shown, _markdown(figure.caption)]
    for part in section.sections:
        blocks += _markdown_section(part, folder, level + 1)
    return blocks


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


def _html_contents(sections: Sequence[Section]) -> str:
    """Links to the sections, in the order and with the numbers of the page."""
    items = [
        f'<li><a href="#s{number}">{escape(section.heading)}</a></li>'
        for number, section in enumerate(sections, start=1)
    ]
    return "\n".join(['<nav aria-label="Contents">', "<ul>", *items, "</ul>", "</nav>"])


def _html_section(section: Section, name: str, level: int) -> list[str]:
    """The lines of a section and its parts; ``name`` is where links lead."""
    lines = [f'<section id="{name}">', f"<h{level}>{escape(section.heading)}</h{level}>"]
    lines += map(_html_paragraph, section.paragraphs)
    if section.facts:
        facts = [f"<dt>{escape(term)}</dt>\n<dd>{escape(text)}</dd>" for term, text in section.facts]
        lines += ["<dl>", *facts, "</dl>"]
    lines += [_html_table(table) for table in section.tables if not table.folded]
    lines += map(_html_figure, section.figures)
    lines += [_html_table(table) for table in section.tables if table.folded]
    for number, part in enumerate(section.sections, start=1):
        lines += _html_section(part, f"{name}-{number}", level + 1)
    return [*lines, "</section>"]


def _html_paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def _html_table(table: Table) -> str:
    """A table that scrolls sideways where the screen is narrow."""
    names = [str(name) for name in table.frame.columns]
    marks = [' class="text"' if name in table.text_columns else "" for name in names]
    header = "".join(
        f'<th scope="col"{mark}>{escape(name)}</th>' for mark, name in zip(marks, names, strict=True)
    )
    rows = []
    for values in table.frame.itertuples(index=False):
        first, *others = zip(marks, map(str, values), strict=True)
        cells = "".join(f"<td{mark}>{escape(value)}</td>" for mark, value in others)
        head = escape(first[1]).replace("_", "_<wbr>")
        rows.append(f'<tr><th scope="row"{first[0]}>{head}</th>{cells}</tr>')
    body = "\n".join(rows)
    caption = "" if table.folded else f"<caption><span>{escape(table.caption)}</span></caption>\n"
    shown = (
        f'<div class="wide">\n<table>\n{caption}'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
    if not table.folded:
        return shown
    return f"<details>\n<summary>{escape(table.caption)}</summary>\n{shown}\n</details>"


def _html_figure(figure: Figure | Drawing) -> str:
    """A figure inside the page: the bytes of its PNG, or its SVG elements."""
    if isinstance(figure, Drawing):
        shown = f'<div class="wide">\n{figure.svg}\n</div>'
    else:
        if not figure.path.is_file():
            raise MerDataError(
                "the PNG of a figure is missing", where=figure.path, do="Draw the figure first"
            )
        encoded = base64.b64encode(figure.path.read_bytes()).decode("ascii")
        shown = f'<img src="data:image/png;base64,{encoded}" alt="{escape(figure.alt)}">'
    return f"<figure>\n{shown}\n<figcaption>{escape(figure.caption)}</figcaption>\n</figure>"
