"""The pages of ``docs/``: their code blocks, commands and tables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from cider.commands import main as cider
from mer_data.commands import main as mer_data

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
PROGRAMS: dict[str, click.Group] = {"mer-data": mer_data, "cider": cider}


def text_of(page: str) -> str:
    """The Markdown of a page."""
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[str]:
    """The code blocks of these languages ("": not named), in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.S | re.M)
    return [code for language, code in found if language in languages]


def shell_commands(page: str) -> list[list[str]]:
    """Every command line of a page as words, without its comment; in unnamed blocks those of ours."""
    lines = [line for block in blocks(page, "bash", "sh") for line in block.splitlines()]
    plain = [line for block in blocks(page, "") for line in block.splitlines()]
    lines += [line for line in plain if line.split(" ")[0] in PROGRAMS]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def table_rows(page: str, first_header: str) -> list[list[str]]:
    """The cells of the table whose first column is called ``first_header``."""
    lines = iter(text_of(page).splitlines())
    for line in lines:
        if line.startswith(f"| {first_header} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
