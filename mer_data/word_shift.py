"""Words that have the times of their neighbours, by a constant number of places, found by transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.alignment import assign_words_to_segments, same_words, shorten

SHIFTS = (-1, 1, -2, 2, -3, 3)
"""Constant errors that are tried where most words are not in their segment."""
ENOUGH = 0.5
"""Share of segments whose words have to be their transcript for word times to be believed."""


MAX_PROBED_VIDEOS = 200


def some_of(videos: Sequence[str]) -> list[str]:
    """Return some hundred of the videos, evenly spaced: enough to find a shift that all of them have."""
    return list(videos)[:: max(1, len(videos) // MAX_PROBED_VIDEOS)]


@dataclass(frozen=True)
class VideoWords:
    """The words of a video in order of time, and its segments with their transcripts.

    Attributes:
        names: ids of the segments (S).
        texts: their transcripts (S); empty where there is none.
        segments: their intervals (S, 2) in seconds.
        tokens: the words (W), markers of silence among them.
        times: their intervals (W, 2).
        spoken: False for markers of silence (W,).
    """

    names: Sequence[str]
    texts: Sequence[str]
    segments: NDArray[np.float64]
    tokens: Sequence[str]
    times: NDArray[np.float64]
    spoken: NDArray[np.bool_]

    def in_segments(self, shift: int) -> list[list[str]]:
        """The words of every segment (S) when each token has the interval ``shift`` places further on."""
        place = np.arange(len(self.times)) + shift
        kept = np.flatnonzero((place >= 0) & (place < len(self.times)) & self.spoken)
        words = [self.tokens[index].lower() for index in kept.tolist()]
        texts = [text.lower().split() for text in self.texts]
        owners = assign_words_to_segments(words, self.times[place[kept]], self.segments, texts)
        return [[words[i] for i in np.flatnonzero(owners == segment)] for segment in range(len(self.names))]


@dataclass(frozen=True)
class WordShift:
    """A shift that puts most words into their segment, which they are not in as they are.

    Attributes:
        shift: places by which every token's interval is wrong.
        num_segments: segments with a transcript that were compared.
        num_as_stored: those whose words are the transcript as they are.
        num_shifted: those whose words are the transcript after the shift.
        example: id, words as stored and transcript of a segment that the shift mends.
    """

    shift: int
    num_segments: int
    num_as_stored: int
    num_shifted: int
    example: tuple[str, str, str]

    @property
    def text(self) -> str:
        """The finding in one clause."""
        return (
            f"the words have the times of their neighbours: in {self.num_as_stored} of {self.num_segments}"
            f" segments they are the transcript, and in {self.num_shifted} with every word moved by"
            f" {self.shift:+d} interval{'s' if abs(self.shift) > 1 else ''} ({self.example[0]} has the words"
            f" {shorten(self.example[1])!r}, its transcript is {shorten(self.example[2])!r})"
        )


def find_shift(videos: Sequence[VideoWords]) -> WordShift | None:
    """The shift by which most segments get the words of their transcript, which less than half have."""
    stored = _words_and_match(videos, 0)
    num_segments = sum(bool(text.strip()) for video in videos for text in video.texts)
    num_stored = sum(equal for _, equal in stored.values())
    if not num_segments or num_stored >= ENOUGH * num_segments:
        return None
    tried = {shift: _words_and_match(videos, shift) for shift in SHIFTS}
    shift, best = max(tried.items(), key=lambda pair: sum(equal for _, equal in pair[1].values()))
    num_best = sum(equal for _, equal in best.values())
    if num_best < ENOUGH * num_segments:
        return None
    texts = {name: text for video in videos for name, text in zip(video.names, video.texts, strict=True)}
    mended = next(name for name, (_, equal) in best.items() if equal and not stored[name][1])
    example = (mended, stored[mended][0], texts[mended])
    return WordShift(shift, num_segments, num_stored, num_best, example)


def _words_and_match(videos: Sequence[VideoWords], shift: int) -> dict[str, tuple[str, bool]]:
    """By segment with a transcript: its words, and whether they are the transcript."""
    return {
        name: (" ".join(words), same_words(words, text))
        for video in videos
        for name, words, text in zip(video.names, video.in_segments(shift), video.texts, strict=True)
        if text.strip()
    }
