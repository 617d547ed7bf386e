"""CSV files whose texts no spreadsheet takes for formulas.

A cell such as ``=HYPERLINK(...)`` is a formula for a spreadsheet, quoted or not. Texts come from files of
others, so one that begins like a formula is written with an apostrophe before it, and so is one that begins
with apostrophes and then like a formula: `read_csv` takes one apostrophe away again and gives every text as
it was. Numbers stay numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from mer_data.files.writing import write_text

_BEGINNING = r"[=+\-@\t\r\n＝＋－＠]"
_FORMULA = re.compile(f"'*{_BEGINNING}")
_ESCAPED = re.compile(f"'+{_BEGINNING}")


def to_csv(table: pd.DataFrame, *, float_format: str | None = None) -> str:
    """Return a table as CSV without its index, formulas escaped."""
    escaped = _texts_mapped(table, _escaped)
    text = str(escaped.to_csv(index=False, float_format=float_format, lineterminator="\n"))
    if "\r" not in text:
        return text
    # A carriage return gets no quotes by itself, and readers take it for the end of a line.
    return str(
        escaped.to_csv(index=False, float_format=float_format, lineterminator="\n", quoting=csv.QUOTE_ALL)
    )


def write_csv(table: pd.DataFrame, path: Path, *, float_format: str | None = None) -> None:
    """Write a table as `to_csv` gives it, in UTF-8; the file appears only when complete."""
    write_text(path, to_csv(table, float_format=float_format))


def read_csv(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table that `write_csv` wrote.

    Args:
        path: of the file.
        columns: those to read; None: all.

    Returns:
        The table, texts as they were before they were escaped; empty cells are NaN.

    Raises:
        OSError, ValueError: unreadable, no CSV, or a column is missing.
    """
    table = pd.read_csv(
        path,
        usecols=None if columns is None else list(columns),
        keep_default_na=False,
        na_values=[""],
        encoding="utf-8",
    )
    return _texts_mapped(table, _unescaped)


def _texts_mapped(table: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    """Return the table with the columns that may hold texts changed, value by value."""
    texts = [name for name in table if not is_numeric_dtype(table[name])]
    return table.assign(**{str(name): table[name].map(change) for name in texts})


def _escaped(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def _unescaped(value: object) -> object:
    return value[1:] if isinstance(value, str) and _ESCAPED.match(value) else value
