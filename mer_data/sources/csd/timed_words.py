"""Timestamped words of a corpus, and a check that their times are their own, by the transcripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.alignment import TOLERANCE_S, assign_words_to_segments
from mer_data.errors import SourceError
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.utterances import WORD_DTYPE, DroppedUtterance, Ragged, utterance_id
from mer_data.word_shift import VideoWords, find_shift, some_of


@dataclass(frozen=True)
class TimedWords:
    """The words of a computational sequence, video by video.

    Attributes:
        sequence: the file.
        silence_tokens: tokens that are no words.
        shift: every token takes the interval so many places further on in its video.
    """

    sequence: ComputationalSequence
    silence_tokens: tuple[str, ...]
    shift: int = 0

    def read(self, video_id: str, counts: Counter[str], dropped: list[DroppedUtterance]) -> NDArray[np.void]:
        """Words (dtype ``WORD_DTYPE``) of one video in the order of the file, silence taken out and counted.

        Tokens that a shift moves beyond the first or last interval have no time and are counted, too.
        """
        tokens, times = self._tokens(video_id, counts, dropped)
        words = np.array([(t, *time) for t, time in zip(tokens, times, strict=True)], dtype=WORD_DTYPE)
        spoken = ~np.isin(words["token"], self.silence_tokens)
        counts["silence_markers_removed"] += int((~spoken).sum())
        return words[spoken]

    def _tokens(
        self, video_id: str, counts: Counter[str], dropped: list[DroppedUtterance]
    ) -> tuple[list[str], NDArray[np.float64]]:
        """Tokens (W) and their intervals (W, 2), shifted."""
        if video_id not in self.sequence:
            return [], np.zeros((0, 2))
        tokens, times, lost = self.sequence.read_words(video_id)
        dropped.extend(lost)
        place = np.arange(len(times)) + self.shift
        inside = (place >= 0) & (place < len(times))
        counts["words_shifted_beyond_the_video"] += int((~inside).sum())
        return [tokens[index] for index in np.flatnonzero(inside)], times[place[inside]]

    def with_segments(
        self, video_id: str, segments: NDArray[np.float64], transcripts: list[str]
    ) -> VideoWords:
        """All tokens of a video, with its segments (S, 2) and their transcripts (S)."""
        tokens, times = self._tokens(video_id, Counter(), [])
        names = [utterance_id(video_id, number) for number in range(1, len(segments) + 1)]
        spoken = ~np.isin(np.array(tokens, dtype=object), self.silence_tokens)
        return VideoWords(names, transcripts, segments, tokens, times, spoken)

    def by_segment(
        self,
        video_id: str,
        segments: NDArray[np.float64],
        transcripts: Sequence[str] | None,
        counts: Counter[str],
        dropped: list[DroppedUtterance],
    ) -> Ragged:
        """The words of every segment (S), each word in exactly one, in order of time.

        Args:
            video_id: of the video.
            segments: (S, 2) seconds.
            transcripts: texts of the segments (S), where there are any.
            counts: of what was taken out; words outside of all segments are added.
            dropped: words without a time and words of invalid bytes are added.
        """
        words = self.read(video_id, counts, dropped)
        times = np.stack([words["start_s"], words["end_s"]], axis=1).reshape(-1, 2)
        texts = None if transcripts is None else [text.lower().split() for text in transcripts]
        owners = assign_words_to_segments([word.lower() for word in words["token"]], times, segments, texts)
        counts["words_outside_all_segments"] += int((owners < 0).sum())
        _count_borders(times, segments, owners, counts)
        rows = [words[owners == index] for index in range(len(segments))]
        return Ragged.from_rows([row[np.argsort(row["start_s"], kind="stable")] for row in rows], words)


def _count_borders(
    times: NDArray[np.float64],
    segments: NDArray[np.float64],
    owners: NDArray[np.int64],
    counts: Counter[str],
) -> None:
    """Count the words that a rule less strict than one owner would have cut or given to two segments."""
    shared = np.minimum(times[:, None, 1], segments[None, :, 1])
    shared -= np.maximum(times[:, None, 0], segments[None, :, 0])
    touching = shared > TOLERANCE_S
    rows = np.flatnonzero(owners >= 0)
    of_owner = shared[rows, owners[rows]]
    lengths = times[rows, 1] - times[rows, 0]
    counts["words_across_a_border"] += int((of_owner < lengths - TOLERANCE_S).sum())
    counts["words_that_touch_two_segments"] += int((touching.sum(axis=1) > 1).sum())


SegmentsOf = Callable[[str], tuple[NDArray[np.float64], list[str]]]
"""From a video to the intervals (S, 2) and the transcripts (S) of its segments."""


def check_word_times(words: TimedWords, videos: Sequence[str], segments_of: SegmentsOf) -> None:
    """Refuse words whose times are those of their neighbours, by a constant number of places.

    Some hundred videos are compared with their transcripts.

    Raises:
        SourceError: the words have to be shifted.
    """
    probed = [words.with_segments(video, *segments_of(video)) for video in some_of(videos)]
    found = find_shift(probed)
    if found is not None:
        raise SourceError(
            found.text,
            where=words.sequence.path,
            do=f"Pass --shift-words {words.shift + found.shift}, or use a repaired file",
        )
