"""Intervals and frames: word ownership, word-level averages, resampling. Pure functions on numpy.

Intervals are (N, 2) float64 start and end in seconds of the video.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOLERANCE_S = 1e-5
"""Two intervals intersect when they share more than this.

The SDK's ``align`` in its repository uses the same; its release 0.0.6 on PyPI takes 1e-3.
"""

_MUCH_LONGER = 2.0
"""Bins that the usual frame of a segment has to cover for its own rate to count."""

Floats = NDArray[np.floating]
_NO_LETTER = re.compile(r"[\W_]+")


def overlaps(intervals: Floats, start: float, end: float) -> NDArray[np.float64]:
    """Seconds (N,) that each interval shares with [start, end]; negative where they are apart."""
    return np.minimum(intervals[:, 1], end) - np.maximum(intervals[:, 0], start)


def same_words(words: Sequence[str], text: str) -> bool:
    """Whether words are those of a text: in letters and digits, whatever their case and punctuation."""
    return _NO_LETTER.sub("", "".join(words).lower()) == _NO_LETTER.sub("", text.lower())


def shorten(text: str, letters: int = 60) -> str:
    """The beginning of a text, for a message."""
    return text if len(text) <= letters else text[: letters - 4] + " ..."


def assign_words_to_segments(
    words: Sequence[str],
    word_times: Floats,
    segments: Floats,
    transcripts: Sequence[Sequence[str]] | None = None,
) -> NDArray[np.int64]:
    """Give every word to exactly one segment, so that no utterance has its neighbour's words.

    A word belongs to the segment that shares the most time with it. Where segments overlap and share
    the same time, the first one in time whose transcript still lacks that word wins; without
    transcripts, the first one in time. A word that shares no time with any segment (both may have no
    length) belongs to the shortest segment that contains its middle.

    Args:
        words: W words, lower case.
        word_times: (W, 2) seconds.
        segments: (S, 2) seconds, in any order.
        transcripts: the words of every segment's transcript, lower case, in the segments' order.

    Returns:
        (W,) index of the owning segment, -1 for a word outside all segments.
    """
    lacking = [Counter(text) for text in transcripts] if transcripts is not None else None
    lengths = segments[:, 1] - segments[:, 0]
    owners = np.full(len(words), -1, dtype=np.int64)
    for index, (word, (start, end)) in enumerate(zip(words, word_times, strict=True)):
        shared = overlaps(segments, start, end)
        best = shared.max(initial=-np.inf)
        if best > TOLERANCE_S:
            candidates = np.flatnonzero(shared >= best - TOLERANCE_S)
            order = candidates[np.argsort(segments[candidates, 0], kind="stable")]
        else:
            middle = (start + end) / 2
            inside = (segments[:, 0] - TOLERANCE_S <= middle) & (middle <= segments[:, 1] + TOLERANCE_S)
            candidates = np.flatnonzero(inside)
            order = candidates[np.argsort(lengths[candidates], kind="stable")]
        if not len(order):
            continue
        owner = order[0]
        if lacking is not None:
            owner = next((segment for segment in order if lacking[segment][word] > 0), owner)
            lacking[owner][word] -= 1
        owners[index] = owner
    return owners


def average_frames(
    frames: Floats, frame_times: Floats, intervals: Floats
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Average the frames that intersect each interval by more than ``TOLERANCE_S``.

    Sums are of float64 and of one interval's frames only, so that a huge frame blurs no other word.

    Args:
        frames: (F, d) finite values.
        frame_times: (F, 2) seconds; infinite borders are allowed.
        intervals: (K, 2) seconds.

    Returns:
        (K, d) float32 means, zeros where no frame intersects, and (K,) number of frames averaged.
    """
    rows, counts = _intersecting(frame_times, intervals)
    means = np.zeros((len(intervals), frames.shape[1]), dtype=np.float64)
    filled = counts > 0
    if filled.any():
        starts = (np.cumsum(counts) - counts)[filled]
        sums = np.add.reduceat(frames[rows].astype(np.float64), starts, axis=0)
        means[filled] = sums / counts[filled, None]
    return means.astype(np.float32), counts


def _intersecting(frame_times: Floats, intervals: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Frames of the first interval, then of the second, ...; and how many each interval has."""
    long_enough = np.flatnonzero(frame_times[:, 1] - frame_times[:, 0] > TOLERANCE_S)
    order = long_enough[np.argsort(frame_times[long_enough, 0], kind="stable")]
    times = frame_times[order]
    # Where ends rise with starts, the frames that touch an interval are neighbours: two binary searches find
    # them. Frames inside other frames break that, and every pair is compared.
    if (times[1:, 1] >= times[:-1, 1]).all():  # the usual case: each interval has one run of frames
        first = np.searchsorted(times[:, 1], intervals[:, 0] + TOLERANCE_S, side="right")
        last = np.searchsorted(times[:, 0], intervals[:, 1] - TOLERANCE_S, side="left")
        usable = intervals[:, 1] - intervals[:, 0] > TOLERANCE_S
        counts = np.where(usable, np.maximum(last - first, 0), 0).astype(np.int64)
        # Numbers 0, 1, 2, ... that begin anew at each interval, moved to its first frame.
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return order[within + np.repeat(first, counts)], counts
    chosen = [np.flatnonzero(overlaps(times, start, end) > TOLERANCE_S) for start, end in intervals]
    rows = np.concatenate([*chosen, np.zeros(0, dtype=np.int64)])
    return order[rows], np.array([len(rows) for rows in chosen], dtype=np.int64)


def resample(
    frames: Floats, frame_times: Floats, start: float, end: float, rate_hz: float
) -> tuple[NDArray[np.float32], int]:
    """Average-pool the frames of one segment to ``rate_hz``.

    A frame belongs to the bin that holds its middle, so it counts once. A bin without frames (a gap
    of the detector) becomes zeros, so that the row keeps its time; a segment without any frame
    becomes an empty row. Frames much longer than a bin (one vector for a whole segment) are not spread over
    bins that would be empty: the rate is then their own.

    Args:
        frames: (F, d) finite values.
        frame_times: (F, 2) seconds.
        start: start of the segment in seconds.
        end: end of the segment in seconds.
        rate_hz: bins per second.

    Returns:
        (T, d) float32 and the number of gaps.
    """
    middles = frame_times.mean(axis=1)
    inside = (middles >= start) & (middles < end)
    if not inside.any():
        return np.zeros((0, frames.shape[1]), dtype=np.float32), 0
    length = float(np.median(frame_times[inside, 1] - frame_times[inside, 0]))
    if length * rate_hz > _MUCH_LONGER:
        rate_hz = 1 / length
    # Rounded, so that a last piece of a bin does not count as a gap; its frames join the last bin.
    num_bins = max(1, round((end - start) * rate_hz))
    bins = np.minimum(((middles[inside] - start) * rate_hz).astype(np.int64), num_bins - 1)
    width = frames.shape[1]
    # One cell for each bin and column; bincount adds in the order of the frames, as np.add.at does, but fast.
    cells = (bins[:, None] * width + np.arange(width)).ravel()
    weights = frames[inside].astype(np.float64).ravel()
    sums = np.bincount(cells, weights, minlength=num_bins * width).reshape(num_bins, width)
    counts = np.bincount(bins, minlength=num_bins)
    means = sums / np.maximum(counts, 1)[:, None]
    return means.astype(np.float32), int((counts == 0).sum())
