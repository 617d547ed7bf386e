"""Transcripts of segments: a CSV of ``"video_segment"``, text and further columns that are ignored."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mer_data.errors import SourceError

_KEY = re.compile(r"(?P<video>.+)_(?P<segment>[0-9]{1,9})")


def read_transcripts(path: str | Path) -> dict[tuple[str, int], str]:
    """Text by (video, 1-based segment); a byte-order mark is not part of the first key.

    Raises:
        SourceError: unreadable, a line without a key and a text, a key that stands twice, or segments that
            are counted from 0 (the texts would belong to the segments before).
    """
    path = Path(path)
    result: dict[tuple[str, int], str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            for number, row in enumerate(csv.reader(handle), start=1):
                if row:
                    _add(result, row, f"{path}, line {number}")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"cannot read the transcripts ({error})",
            where=path,
            do="Save them as UTF-8, in Excel as 'CSV UTF-8'",
        ) from error
    except (OSError, csv.Error) as error:
        raise SourceError(f"cannot read the transcripts ({error})", where=path) from error
    return result


def _add(result: dict[tuple[str, int], str], row: list[str], where: str) -> None:
    """Add one line."""
    found = _KEY.fullmatch(row[0])
    if len(row) < 2 or found is None or not row[0].isprintable():
        raise SourceError(
            "not a transcript line", where=where, found=repr(row[0][:80]), expected='"video_segment", "text"'
        )
    key = (found["video"], int(found["segment"]))
    if key[1] == 0:
        raise SourceError(
            f"segment {row[0]} is counted from 0",
            where=where,
            expected="segments from 1",
            do="Number the segments from 1: the texts would belong to the segments before",
        )
    if key in result:
        raise SourceError(f"segment {row[0]} stands twice", where=where)
    result[key] = row[1]
