"""``UtteranceBlock`` and ``Ragged``: the one shape that every source produces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MODALITIES = ("text", "audio", "vision")
FRAME_MODALITIES = MODALITIES[1:]
"""The modalities that are frames of numbers; a source may have none of them."""
UTTERANCE_COLUMNS = ("id", "video_id", "segment", "start_s", "end_s", "label", "text", "fold")
FOLDS = ("train", "valid", "test")
NO_FOLD = "none"

WORD_DTYPE = np.dtype([("token", "O"), ("start_s", "f8"), ("end_s", "f8")])
"""One timestamped word: its text, and its interval in seconds of the video."""


def offsets_of(lengths: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where rows of these lengths (N,) begin, and where the last one ends (N + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: ``values`` (sum of lengths, ...) and int64 ``offsets`` (N + 1,)."""

    values: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: Sequence[NDArray[Any]], like: NDArray[Any]) -> Ragged:
        """Concatenate ``rows``; ``like`` gives dtype and trailing shape where there are none."""
        values = np.concatenate(rows) if rows else like[:0]
        return cls(values.astype(like.dtype, copy=False), offsets_of([len(row) for row in rows]))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The rows of all parts (at least one), one after the other."""
        if len(parts) == 1:
            return parts[0]
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.values for part in parts]), offsets_of(lengths))

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Row ``index`` as a view."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Return some rows, in the order asked for."""
        lengths = self.lengths[rows]
        offsets = offsets_of(lengths)
        # The place of a value is its row's first place and how far into the row it is.
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Ragged(self.values[places], offsets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of every row (N,)."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """Row of every value (sum of lengths,)."""
        return np.repeat(np.arange(len(self)), self.lengths)


@dataclass(frozen=True)
class DroppedUtterance:
    """Something that a source could not keep, and why."""

    id: str
    reason: str


@dataclass
class UtteranceBlock:
    """Some utterances of one corpus, in the shape that the store builder takes.

    Attributes:
        frame: one row per utterance with the columns ``UTTERANCE_COLUMNS``; ``id`` is
            ``video$_$segment`` with a 1-based segment, times are seconds of the video.
        streams: for "audio" and "vision" the frames of every utterance, ``Ragged`` (sum_T, d) float32; a
            modality that the source does not have is absent.
        words: the timestamped words of every utterance (dtype ``WORD_DTYPE``), where the source has them.
        frame_times: for each stream (sum_T, 2) start and end in seconds of every frame, where known;
            a frame of its whole utterance has the interval (-inf, inf).
        token_ids: published word pieces of every utterance, where the source brings its own.
        dropped: what could not be kept, with reasons.
        counts: named counts of what was changed or found (silence markers, unowned words, ...).
    """

    frame: pd.DataFrame
    streams: dict[str, Ragged]
    words: Ragged | None = None
    frame_times: dict[str, NDArray[np.float64]] | None = None
    token_ids: Ragged | None = None
    dropped: list[DroppedUtterance] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.frame)


def utterance_id(video_id: str, segment: int) -> str:
    """The published id of a segment: ``video$_$segment``, 1-based."""
    return f"{video_id}$_${segment}"


def cut(row: NDArray[Any], limit: int, *, keep_last: bool) -> NDArray[Any]:
    """The first ``limit`` steps of a row; with ``keep_last`` its last step takes the last place."""
    if len(row) <= limit:
        return row
    return np.concatenate([row[: limit - 1], row[-1:]]) if keep_last else row[:limit]
