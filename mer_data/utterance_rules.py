"""The rules that every utterance of a store keeps.

The writer asks before it writes, and ``verify`` asks of a file, so that a store that was built is sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FOLDS, NO_FOLD, utterance_id

_ID = re.compile(r"(?P<video>.+)\$_\$(?P<segment>[1-9][0-9]*)")
_NUM_FOUND = 3


@dataclass(frozen=True)
class Broken:
    """A rule that some utterances do not keep to.

    Attributes:
        check: name of the check.
        message: what is wrong, with some of the values found.
        rows: rows of the utterances, some perhaps more than once.
    """

    check: str
    message: str
    rows: NDArray[np.integer]


def is_video_id(name: str) -> bool:
    """Whether a video can be named so in an utterance's id: UTF-8 without control characters."""
    return name.isprintable() and len(name) > 0 and name == name.encode(errors="replace").decode()


def run_forward(times: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which intervals (N, 2) are finite and do not end before they start."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(times).all(axis=1) & (times[:, 1] >= times[:, 0])


def are_intervals(times: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows (N, 2) run forward, or have no times at all (NaN twice)."""
    return run_forward(times) | np.isnan(times).all(axis=1)


def broken_ids(ids: Sequence[str]) -> Iterator[Broken]:
    """Ids say a video and a segment from 1."""
    rows = [row for row, name in enumerate(ids) if not _is_id(name)]
    if rows:
        yield Broken("id-form", "ids not of the form video$_$segment with a segment from 1", np.array(rows))


def _is_id(name: str) -> bool:
    match = _ID.fullmatch(name)
    return match is not None and is_video_id(match["video"])


def broken_agreement(ids: Sequence[str], videos: Sequence[str], segments: Sequence[int]) -> Iterator[Broken]:
    """Ids agree with the columns of videos and segments."""
    said = [utterance_id(*pair) for pair in zip(videos, segments, strict=True)]
    rows = [row for row, (a, b) in enumerate(zip(ids, said, strict=True)) if _is_id(a) and a != b]
    if rows:
        yield Broken("id-agrees", "ids that do not agree with video_id and segment", np.array(rows))


def broken_labels(labels: NDArray[np.floating]) -> Iterator[Broken]:
    """Labels are numbers in the range of this package."""
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(~((labels >= LABEL_RANGE[0]) & (labels <= LABEL_RANGE[1])))
    if len(rows):
        found = ", ".join(f"{labels[row]:g}" for row in rows[:_NUM_FOUND])
        yield Broken("label-range", f"labels outside [-3, 3]: {found}", rows)


def broken_folds(folds: Sequence[str]) -> Iterator[Broken]:
    """Folds are known ones."""
    rows = [row for row, fold in enumerate(folds) if fold not in (*FOLDS, NO_FOLD)]
    if rows:
        expected = ", ".join([*FOLDS, NO_FOLD])
        yield Broken("fold", f"unknown fold {folds[rows[0]]!r}, expected {expected}", np.array(rows))


def broken_segments(times: NDArray[np.floating]) -> Iterator[Broken]:
    """Segments run forward or have no times."""
    rows = np.flatnonzero(~are_intervals(times))
    if len(rows):
        yield Broken("interval", "segments that do not run forward", rows)


def broken_words(times: NDArray[np.floating], owners: NDArray[np.integer]) -> Iterator[Broken]:
    """Words run forward, and come in the order of their starts.

    Args:
        times: (W, 2) seconds, NaN where unknown.
        owners: (W,) row of each word's utterance.
    """
    sound = are_intervals(times)
    if not sound.all():
        yield Broken("word-interval", "words that do not run forward", owners[~sound])
    timed = sound & ~np.isnan(times[:, 0])
    before = timed[:-1] & timed[1:] & (owners[:-1] == owners[1:]) & (times[1:, 0] < times[:-1, 0])
    if before.any():
        yield Broken("word-order", "words that begin before the word before", owners[1:][before])


def broken_pieces(
    ids: NDArray[np.integer], offsets: NDArray[np.integer], vocabulary_size: int, first: int, last: int
) -> Iterator[Broken]:
    """Word pieces are of the vocabulary, and every row is between two special ones.

    Args:
        ids: (P,) word pieces.
        offsets: (N + 1,) where the rows begin.
        vocabulary_size: ids are below it.
        first: id of [CLS].
        last: id of [SEP].
    """
    lengths = np.diff(offsets)
    wrong = (ids < 0) | (ids >= vocabulary_size)
    if wrong.any():
        owners = np.repeat(np.arange(len(lengths)), lengths)
        message = f"word pieces outside the vocabulary of {vocabulary_size}: {ids[wrong][0]}"
        yield Broken("token-vocabulary", message, owners[wrong])
    framed = np.zeros(len(lengths), dtype=bool)
    rows = np.flatnonzero(lengths > 0)
    framed[rows] = (ids[offsets[rows]] == first) & (ids[offsets[rows + 1] - 1] == last)
    if not framed.all():
        yield Broken("token-frame", "rows not from [CLS] to [SEP]", np.flatnonzero(~framed))


def broken_piece_words(
    words: NDArray[np.integer], owners: NDArray[np.integer], num_words: NDArray[np.integer]
) -> Iterator[Broken]:
    """Pieces are of words that are there.

    Args:
        words: (P,) index of each piece's word among its utterance's words, -1 for none.
        owners: (P,) row of each piece's utterance.
        num_words: (N,) words of the utterances.
    """
    wrong = (words < -1) | (words >= num_words[owners])
    if wrong.any():
        yield Broken("token-words", "word pieces of words that are not there", owners[wrong])
