"""Transcripts of segments: a CSV of ``"video_segment"``, text and further columns that are ignored."""

from __future__ import annotations

import csv
from pathlib import Path

from mer_data.errors import SourceError


def read_transcripts(path: Path) -> dict[tuple[str, int], str]:
    """Text by (video, 1-based segment).

    Raises:
        SourceError: unreadable, a line without a key and a text, or a key that stands twice.
    """
    result: dict[tuple[str, int], str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            for number, row in enumerate(csv.reader(handle), start=1):
                if not row:
                    continue
                video, _, segment = row[0].rpartition("_")
                if len(row) < 2 or not video or not segment.isdecimal():
                    raise SourceError(
                        "not a transcript line",
                        where=f"{path}, line {number}",
                        expected='"video_segment", "text"',
                    )
                key = (video, int(segment))
                if key in result:
                    raise SourceError(f"segment {row[0]} stands twice", where=f"{path}, line {number}")
                result[key] = row[1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the transcripts ({error})", where=path) from error
    return result
