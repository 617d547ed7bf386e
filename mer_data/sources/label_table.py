"""MMSA's table of labels (``label.csv``): one row per utterance with its text, label and fold."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from mer_data.errors import SourceError
from mer_data.sources.base import SourceFile, Stream
from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.clip_ids import ClipNumbers
from mer_data.sources.folds import LEAST_SHARE, standard_folds
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FOLDS, UTTERANCE_COLUMNS, DroppedUtterance, UtteranceBlock, utterance_id

COLUMNS = ("video_id", "clip_id", "text", "label", "mode")
_OPTIONAL = ("annotation", "label_T", "label_A", "label_V", "label_by")
_ROWS_PER_BLOCK = 2_000
_SIGNS = {"negative": -1, "neutral": 0, "positive": 1}


def read_header(path: Path) -> list[str]:
    """The first row of a CSV; a byte order mark is no part of it.

    Raises:
        SourceError: not readable as text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return [name.strip() for name in next(csv.reader(handle), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read the table ({error})", where=path) from error


def is_label_table(path: Path) -> bool:
    """Whether the first row of a CSV names the videos and clips of a label table."""
    try:
        return {"video_id", "clip_id"} <= set(read_header(path))
    except SourceError:
        return False


class LabelTable:
    """A label table as a source of texts, labels and folds, without audio and vision.

    Columns may be in any order. Clip ids become segment numbers where the corpus has a mapping
    (`mer_data.sources.clip_ids`), so that the ids are those of a store built from ``.csd`` files.
    """

    alignment: str | None = None
    form: Literal["labels", "table"] = "table"
    word_shift = 0
    has_word_times = False
    dropped: Sequence[DroppedUtterance] = ()

    def __init__(self, path: Path, manifest: SourceManifest) -> None:
        """Read and check the table.

        Raises:
            SourceError: a column is missing, a value is not what its column holds, or an id stands twice. The
                message names the line.
        """
        self.manifest = manifest
        self._path = path
        self._counts: Counter[str] = Counter()
        self._frame = self._read()

    def __reduce__(self) -> tuple[type[LabelTable], tuple[Path, SourceManifest]]:
        """Another process reads the table for itself."""
        return LabelTable, (self._path, self.manifest)

    @property
    def files(self) -> tuple[Path, ...]:
        """The table."""
        return (self._path,)

    @property
    def listing(self) -> tuple[SourceFile, ...]:
        """The table and the columns that nothing is made of."""
        unused = [name for name in read_header(self._path) if name not in COLUMNS]
        known = [name for name in unused if name in _OPTIONAL]
        other = [name for name in unused if name not in _OPTIONAL]
        reason = f"a table of {len(self._frame)} labels and texts"
        reason += f"; columns not used: {', '.join(known)}" if known else ""
        reason += f"; unknown columns: {', '.join(map(repr, other))}" if other else ""
        return (SourceFile(self._path, "corpus", reason),)

    @property
    def streams(self) -> dict[str, Stream]:
        """None: a table has no features."""
        return {}

    def why_no_frames(self, modality: str) -> str:
        """A table has no frames."""
        return f"a table without {modality}"

    @property
    def num_blocks(self) -> int:
        """Blocks of some thousand utterances."""
        return max(1, -(-len(self._frame) // _ROWS_PER_BLOCK))

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield the utterances by video and segment."""
        for number in range(self.num_blocks):
            yield self.block(number)

    def block(self, number: int) -> UtteranceBlock:
        """Block ``number``; what was counted over the whole table is in the first one."""
        rows = self._frame.iloc[number * _ROWS_PER_BLOCK : (number + 1) * _ROWS_PER_BLOCK]
        counts = dict(self._counts) if number == 0 else {}
        return UtteranceBlock(rows.reset_index(drop=True), streams={}, counts=counts)

    @cached_property
    def _sdk_folds(self) -> dict[str, str]:
        """The SDK's fold of every video; folds that are a file of a folder say nothing of a table."""
        folds = self.manifest.folds
        return standard_folds(folds, self._path.parent) if folds.kind == "sdk" else {}

    def _read(self) -> pd.DataFrame:
        rows = [self._row(line, values) for line, values in self._lines()]
        if not rows:
            raise SourceError("a table without rows", where=self._path)
        frame = pd.DataFrame(rows, columns=[*UTTERANCE_COLUMNS, "line"])
        self._check_corpus(set(frame["video_id"]))
        frame["segment"] = self._segments(frame)
        pairs = zip(frame["video_id"], frame["segment"], strict=True)
        frame["id"] = [utterance_id(video, segment) for video, segment in pairs]
        twice = frame[frame["id"].duplicated()]
        if len(twice):
            first = frame[frame["id"] == twice["id"].iloc[0]]
            raise SourceError(
                f"{len(twice)} ids stand twice",
                where=f"{self._path}, lines {first['line'].iloc[0]} and {first['line'].iloc[1]}",
                found=str(twice["id"].iloc[0]),
                do="Remove all but one row of each video_id and clip_id",
            )
        ordered = frame.sort_values(["video_id", "segment"], kind="stable")
        return ordered[list(UTTERANCE_COLUMNS)].astype({"label": np.float32}).reset_index(drop=True)

    def _check_corpus(self, videos: set[str]) -> None:
        """Refuse a table of which less than half of the videos are in the SDK's folds of the corpus."""
        known = videos & set(self._sdk_folds)
        if self._sdk_folds and len(known) < LEAST_SHARE * len(videos):
            raise SourceError(
                f"{len(videos) - len(known)} of the {len(videos)} videos are in no standard fold of"
                f" {self.manifest.dataset}",
                where=self._path,
                found=f"video {min(videos - known)!r}",
                do="Pass the --dataset that the table is of",
            )

    def _lines(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and values of every row."""
        header = read_header(self._path)
        missing = [name for name in COLUMNS if name not in header]
        twice = [name for name, count in Counter(header).items() if count > 1]
        if missing or twice:
            what = f"has no column {missing[0]!r}" if missing else f"has two columns {twice[0]!r}"
            raise SourceError(
                f"the table {what}",
                where=f"{self._path}, line 1",
                found=", ".join(header[:12]) or "nothing",
                expected="a first row with " + ", ".join(COLUMNS) + ", in any order",
            )
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as handle:
                reader = csv.reader(handle, strict=True)
                next(reader)
                for values in reader:
                    if not values:
                        continue
                    if len(values) != len(header):
                        raise SourceError(
                            "a row of another length",
                            where=f"{self._path}, line {reader.line_num}",
                            found=f"{len(values)} values",
                            expected=f"{len(header)}, as the first row names",
                            do="Put texts with commas in quotes",
                        )
                    yield reader.line_num, dict(zip(header, values, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"cannot read the table ({error})", where=self._path) from error

    def _row(self, line: int, values: dict[str, str]) -> tuple[object, ...]:
        """One row in the order of ``UTTERANCE_COLUMNS`` and its line; the segment is still a clip id."""

        def wrong(column: str, expected: str) -> SourceError:
            video, clip = values["video_id"], values["clip_id"]
            return SourceError(
                f"{column} of video {video!r}, clip {clip!r}",
                where=f"{self._path}, line {line}",
                found=repr(values[column]),
                expected=expected,
            )

        video, clip, mode = (
            values["video_id"].strip(),
            values["clip_id"].strip(),
            values["mode"].strip().lower(),
        )
        if not video:
            raise wrong("video_id", "the id of a video")
        if not (clip.isascii() and clip.isdecimal() and len(clip) <= 9):
            raise wrong("clip_id", "a whole number")
        if mode not in FOLDS:
            raise wrong("mode", "train, valid or test")
        try:
            label = float(values["label"])
        except ValueError:
            label = np.nan
        if not LABEL_RANGE[0] <= label <= LABEL_RANGE[1]:
            raise wrong("label", "a number in [-3, 3]")
        sign = _SIGNS.get(values.get("annotation", "").strip().lower(), int(np.sign(label)))
        self._counts["annotations_that_contradict_the_label"] += int(sign != np.sign(label))
        self._counts["rows_in_another_fold_than_the_sdk"] += int(self._sdk_folds.get(video, mode) != mode)
        return ("", video, int(clip), np.nan, np.nan, label, values["text"], mode, line)

    def _segments(self, frame: pd.DataFrame) -> list[int]:
        """Segment number (1-based) of every row."""
        numbered = list(zip(frame["video_id"].tolist(), frame["segment"].tolist(), strict=True))
        clips = ClipNumbers.from_manifest(self.manifest)
        if clips is not None and clips.are_clips(numbered):
            self._counts["clip_ids_turned_into_segments"] = len(numbered)
            return clips.to_segments(numbered, self._path)
        zero = frame[frame["segment"] == 0]
        if len(zero):
            raise SourceError(
                f"{len(zero)} clips with number 0",
                where=f"{self._path}, line {zero['line'].iloc[0]}",
                expected="segments counted from 1",
            )
        return [number for _, number in numbered]
