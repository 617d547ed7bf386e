"""Which frames of a video belong to which of its utterances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.alignment import TOLERANCE_S, overlaps
from mer_data.utterances import Ragged

Frames = tuple[Ragged, NDArray[np.float64]]
"""The frames of every segment (S), and the start and end in seconds of each of them, one after the other."""


def frames_of_segments(
    values: NDArray[np.float32],
    times: NDArray[np.float64],
    segments: NDArray[np.float64],
    words: Ragged | None,
) -> Frames:
    """Return the frames that touch each segment or one of its words.

    Overlapping segments share frames; a word may reach over the border of its segment.

    Args:
        values: (F, d) frames of a video.
        times: (F, 2) seconds.
        segments: (S, 2) seconds.
        words: the timed words of every segment (S); None where they have no times.
    """
    reach = segments if words is None else _reach(segments, words)
    chosen = [np.flatnonzero(overlaps(times, start, end) > TOLERANCE_S) for start, end in reach]
    return _take(values, times, chosen)


def frames_of_utterances(
    values: NDArray[np.float32], times: NDArray[np.float64], segments: NDArray[np.float64]
) -> Frames:
    """Return the one row of each segment, of a file that has a row per segment.

    A row is of its whole utterance, so its interval is made infinite: every word of it gets the row.

    Args:
        values: (F, d) rows of a video.
        times: (F, 2) seconds.
        segments: (S, 2) seconds.
    """
    whole = np.tile([-np.inf, np.inf], (len(times), 1))
    return _take(values, whole, _one_row_each(segments, times))


def _take(values: NDArray[np.float32], times: NDArray[np.float64], chosen: list[NDArray[np.int64]]) -> Frames:
    order = np.concatenate([*chosen, np.zeros(0, dtype=np.int64)])
    return Ragged.from_rows([values[rows] for rows in chosen], values), times[order]


def _one_row_each(segments: NDArray[np.float64], times: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """The row with a segment's own interval; segments with equal intervals take equal rows in turn."""
    free = np.ones(len(times), dtype=bool)
    chosen = []
    for segment in segments:
        rows = np.flatnonzero(free & (np.abs(times - segment) <= TOLERANCE_S).all(axis=1))[:1]
        free[rows] = False
        chosen.append(rows)
    return chosen


def _reach(segments: NDArray[np.float64], words: Ragged) -> NDArray[np.float64]:
    """Each segment's interval, widened to its own words where they cross its border."""
    first = [words[i]["start_s"].min(initial=start) for i, start in enumerate(segments[:, 0])]
    last = [words[i]["end_s"].max(initial=end) for i, end in enumerate(segments[:, 1])]
    return np.stack([first, last], axis=1).reshape(-1, 2)
