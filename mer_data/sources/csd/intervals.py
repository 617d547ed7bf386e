"""Intervals of segments judged before they are used: none decides how much memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mer_data.errors import SourceError
from mer_data.sources.csd.csd_files import ComputationalSequence

LONGEST_S = 3_600.0
"""A segment that is longer is no utterance."""
SUSPECT_S = 600.0
"""A segment that is longer is compared with the frames and words of its video."""
BEYOND_S = 60.0
"""How far a long segment may reach beyond the last frame or word."""
USUAL_S = 300.0
"""The usual segment of a label file in seconds is shorter; both corpora have 3 to 8 s."""
_FACTOR = 100.0
_PROBED_VIDEOS = 20


def why_unusable(start: float, end: float, last_end: Callable[[], float]) -> str | None:
    """Why a segment [start, end] in seconds cannot be used; None for a sound one.

    Args:
        start: of the segment.
        end: of the segment.
        last_end: gives the end of the last frame or word of the video, infinite where it has none.
    """
    if not np.isfinite([start, end]).all() or end < start:
        return f"interval [{start}, {end}] does not run forward"
    length = end - start
    if length > LONGEST_S:
        return f"interval [{start:g}, {end:g}] is longer than {LONGEST_S:g} s"
    if length > SUSPECT_S and end > last_end() + BEYOND_S:
        return f"interval [{start:g}, {end:g}] ends far beyond the last frame or word, at {last_end():g} s"
    return None


def check_units(labels: ComputationalSequence, others: Mapping[str, ComputationalSequence]) -> None:
    """Refuse files whose times are of another unit than seconds, as far as a few videos show it.

    Args:
        labels: the segments.
        others: words, audio and vision by role.

    Raises:
        SourceError: the usual segment is minutes long, or the rows of a file end a hundred times later or
            earlier than the segments of the same videos.
    """
    probed = {video: labels.read(video)[1] for video in labels.videos[:_PROBED_VIDEOS]}
    lengths = np.concatenate([times[:, 1] - times[:, 0] for times in probed.values()] or [np.zeros(0)])
    usual = float(np.median(lengths)) if len(lengths) else 0.0
    if usual > USUAL_S:
        raise SourceError(
            "the intervals of the labels are not in seconds",
            where=labels.path,
            found=f"a usual segment of {usual:g} s",
            expected="a few seconds",
            do="Divide them by 1000 if they are milliseconds",
        )
    for role, sequence in others.items():
        ends = [
            (sequence.read(video)[1].max(initial=0.0), segments.max(initial=0.0))
            for video, segments in probed.items()
            if video in sequence
        ]
        ratios = [row / segment for row, segment in ends if row > 0 and segment > 0]
        if not ratios:
            continue
        ratio = float(np.median(ratios))
        if not 1 / _FACTOR < ratio < _FACTOR:
            raise SourceError(
                f"the times of {role} and labels are of different units",
                where=sequence.path,
                found=f"rows to {ends[0][0]:g}, segments of the same video to {ends[0][1]:g} s",
                expected="seconds in both",
                do="Divide milliseconds by 1000",
            )
