"""Transcripts of segments: a CSV of ``"video_segment"``, text and further columns that are ignored."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.errors import SourceError
from mer_data.sources.base import SourceChoices
from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.label_table import is_label_table

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


def find_transcripts(
    paths: Sequence[Path], folder: Path, manifest: SourceManifest, choices: SourceChoices
) -> Path | None:
    """Return the CSV of transcripts: chosen, named as in the manifest, or the only one with such rows.

    Raises:
        SourceError: the chosen one is absent, or several have such rows.
    """
    given = choices.path("transcripts", folder)
    if given is not None:
        if not given.is_file():
            raise SourceError("no transcripts", where=given, do="Pass --transcripts with a file that exists")
        return given
    if manifest.transcripts is None:
        return None
    named = folder / manifest.transcripts
    if named.is_file():
        return named
    fitting = [path for path in paths if path.suffix.lower() == ".csv" and are_transcripts(path)]
    if len(fitting) > 1:
        raise SourceError(
            "several files of transcripts",
            where=folder,
            found="; ".join(f"{path.name} ({len(read_transcripts(path))} rows)" for path in fitting),
            do="Choose one by --transcripts PATH",
        )
    return fitting[0] if fitting else None


def are_transcripts(path: Path) -> bool:
    """Whether every row of a CSV is a transcript."""
    if is_label_table(path):
        return False
    try:
        return bool(read_transcripts(path))
    except SourceError:
        return False
