"""A folder of ``.csd`` files (CMU-MOSI, CMU-MOSEI, the sample) as utterance blocks, one video each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.base import SourceChoices, SourceFile, Stream
from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.csd.frames import frames_of_segments, frames_of_utterances
from mer_data.sources.csd.intervals import check_units, why_unusable
from mer_data.sources.csd.roles import check_roles, find_files
from mer_data.sources.csd.timed_words import TimedWords, check_word_times
from mer_data.sources.folds import check_label, standard_folds, videos_without_labels
from mer_data.sources.transcripts import read_transcripts
from mer_data.utterance_rules import run_forward
from mer_data.utterances import (
    FRAME_MODALITIES,
    NO_FOLD,
    UTTERANCE_COLUMNS,
    DroppedUtterance,
    Ragged,
    UtteranceBlock,
    utterance_id,
)

_VIDEOS_OF_TEXTS = 100


class ComputationalSequences:
    """Labels, words, audio and vision of a folder, as far as it has them (`mer_data.sources.csd.roles`).

    Words go to exactly one segment (``alignment.assign_words_to_segments``). Text comes from the transcripts
    where the folder has them, otherwise from an utterance's own words. Without audio and vision it is a
    source of texts alone.
    """

    alignment: str | None = None
    form: Literal["labels", "table"] = "labels"

    def __init__(self, folder: Path, manifest: SourceManifest, choices: SourceChoices) -> None:
        """Find the files and compare words with transcripts.

        Args:
            folder: folder with the ``.csd`` files.
            manifest: source manifest of the dataset.
            choices: between the files, and what to do without.

        Raises:
            SourceError: a role has no file or several, a file is damaged, words have the times of their
                neighbours, or most videos of the standard folds have no labels.
        """
        self.manifest = manifest
        self._folder = folder
        self._found = find_files(folder, manifest, choices)
        self._sets = {role: one.features for role, one in self._found.sequences.items()}
        self._sequences = {role: one.sequence for role, one in self._found.sequences.items()}
        check_roles(folder, manifest, choices, self._found)
        self._labels = self._sequences["labels"]
        self._transcripts = (
            None if self._found.transcripts is None else read_transcripts(self._found.transcripts)
        )
        check_units(self._labels, {r: one for r, one in self._sequences.items() if r != "labels"})
        self._folds = standard_folds(manifest.folds, folder)
        self.dropped: Sequence[DroppedUtterance] = videos_without_labels(
            self._folds, self._labels.videos, self._labels.path
        )
        self._words: TimedWords | None = None
        if "words" in self._sequences:
            self._words = TimedWords(self._sequences["words"], manifest.silence_tokens, choices.shift_words)
            if self._transcripts is not None:
                check_word_times(self._words, self._labels.videos, self._segments_and_texts)
        elif choices.shift_words:
            raise SourceError("there are no words to shift", where=folder, do="Leave out --shift-words")

    @property
    def listing(self) -> tuple[SourceFile, ...]:
        """Every file of the folder: what it is used as, or why it is not used."""
        return self._found.listing

    @property
    def word_shift(self) -> int:
        """By how many intervals words were moved."""
        return 0 if self._words is None else self._words.shift

    @property
    def has_word_times(self) -> bool:
        """Whether words have times, which an aligned store needs."""
        return self._words is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """The ``.csd`` files read, the transcripts, and the folds where they are a file."""
        paths = [sequence.path for sequence in self._sequences.values()]
        if self._found.transcripts is not None:
            paths.append(self._found.transcripts)
        if self.manifest.folds.kind == "file":
            paths.append(self._folder / self.manifest.folds.name)
        return tuple(paths)

    @cached_property
    def streams(self) -> dict[str, Stream]:
        """Audio and vision, as far as the folder has them, after the choice of columns."""
        return {
            modality: self._stream(modality) for modality in FRAME_MODALITIES if modality in self._sequences
        }

    @property
    def num_blocks(self) -> int:
        """One for each video; for texts alone, which are small, one for every hundred."""
        return -(-len(self._labels.videos) // self._videos_per_block)

    @property
    def _videos_per_block(self) -> int:
        return 1 if self._words is not None or self.streams else _VIDEOS_OF_TEXTS

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield the corpus in the order of the video ids."""
        for number in range(self.num_blocks):
            yield self.block(number)

    def block(self, number: int) -> UtteranceBlock:
        """The block of one video, or of some videos where there are texts alone."""
        size = self._videos_per_block
        return self._block(self._labels.videos[number * size : (number + 1) * size])

    def _stream(self, modality: str) -> Stream:
        chosen, sequence = self._sets[modality], self._sequences[modality]
        names = sequence.dimension_names() or []
        width = sequence.width
        columns = chosen.columns if chosen.columns is not None else tuple(range(width))
        if columns and max(columns) >= width:
            raise SourceError(
                f"{modality} set {chosen.name!r} lacks columns",
                where=sequence.path,
                found=f"{width} columns",
                expected=f"more than {max(columns)}",
            )
        labelled = tuple(names[c] if len(names) == width else f"{chosen.name}_{c}" for c in columns)
        return Stream(chosen.name, labelled, chosen.frame_rate_hz)

    def _block(self, videos: Sequence[str]) -> UtteranceBlock:
        rows: list[tuple[object, ...]] = []
        dropped: list[DroppedUtterance] = []
        for video_id in videos:
            self._collect(video_id, rows, dropped)
        frame = pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)).astype({"label": np.float32})
        counts: Counter[str] = Counter()
        if self._transcripts is not None:
            counts["utterances_without_transcript"] = int((frame["text"] == "").sum())
        words = self._words_of(videos[0], frame, counts, dropped)
        if self._transcripts is None and words is not None:
            frame["text"] = [" ".join(row["token"]) for row in (words[i] for i in range(len(frame)))]
        streams, times = {}, {}
        for modality in self.streams:
            streams[modality], times[modality] = self._frames(modality, videos[0], frame, words, counts)
        return UtteranceBlock(frame, streams, words, times, dropped=dropped, counts=dict(counts))

    def _collect(
        self, video_id: str, rows: list[tuple[object, ...]], dropped: list[DroppedUtterance]
    ) -> None:
        """Add the utterances of one video as ``UTTERANCE_COLUMNS``, and what is left out of it."""
        labels, segments = self._labels_of(video_id)
        known, fold = self._transcripts or {}, self._folds.get(video_id, NO_FOLD)
        for number, (label, (start, end)) in enumerate(zip(labels, segments, strict=True), start=1):
            name = utterance_id(video_id, number)
            check_label(name, label, self._labels.path)
            reason = why_unusable(start, end, partial(self._last_end, video_id))
            if reason is None:
                text = known.get((video_id, number), "")
                rows.append((name, video_id, number, start, end, label, text, fold))
            else:
                dropped.append(DroppedUtterance(name, reason))

    def _last_end(self, video_id: str) -> float:
        """End of the last frame or word of a video in seconds; infinite where it has none."""
        others = [self._sequences[role] for role in self._sequences if role != "labels"]
        ends = [one.read(video_id)[1].max(initial=0.0) for one in others if video_id in one]
        return float(max(ends, default=np.inf))

    def _labels_of(self, video_id: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Labels (N,) in the range of this package, and intervals (N, 2), of one video."""
        features, segments = self._read_numbers("labels", video_id)
        known = self._sets["labels"]
        labels = features[:, (known.columns or (0,))[0]]
        if (known.scale, known.shift) != (1.0, 0.0):  # else the published values stay, to the bit
            labels = labels.astype(np.float64) * known.scale + known.shift
        return labels, segments

    def _read_numbers(self, role: str, video_id: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Features and intervals of one video; every video of a file has numbers of one width."""
        sequence = self._sequences[role]
        features, times = sequence.read(video_id)
        if features.dtype.kind not in "iuf" or features.shape[1] != sequence.width:
            raise SourceError(
                f"{role} features are not numbers of one width",
                where=f"{sequence.path}, video {video_id}",
                found=f"{features.shape[1]} columns of {features.dtype}",
                expected=f"{sequence.width} columns of numbers",
            )
        return features, times

    def _words_of(
        self, video_id: str, frame: pd.DataFrame, counts: Counter[str], dropped: list[DroppedUtterance]
    ) -> Ragged | None:
        """The words of every utterance; None where the folder has no word times."""
        if self._words is None:
            return None
        segments = frame[["start_s", "end_s"]].to_numpy(np.float64)
        texts = frame["text"].tolist() if self._transcripts is not None else None
        return self._words.by_segment(video_id, segments, texts, counts, dropped)

    def why_no_frames(self, modality: str) -> str:
        """Why no utterance has a frame of a modality: other videos, or times of another unit."""
        sequence = self._sequences[modality]
        common = [video for video in self._labels.videos if video in sequence]
        if not common:
            other = next(iter(sequence.videos), "none")
            return (
                f"other videos in {sequence.path.name}, such as {other}, than in {self._labels.path.name},"
                f" such as {self._labels.videos[0]}"
            )
        rows, segments = sequence.read(common[0])[1], self._labels_of(common[0])[1]
        span = f"from {rows.min():g} to {rows.max():g} s" if len(rows) else "nowhere, as there are none"
        return (
            f"{len(common)} common videos; in {common[0]} the segments go from {segments.min():g} to"
            f" {segments.max():g} s, the rows of {sequence.path.name} {span}"
        )

    def _segments_and_texts(self, video_id: str) -> tuple[NDArray[np.float64], list[str]]:
        """Intervals (S, 2) and transcripts (S) of a video."""
        _, segments = self._labels_of(video_id)
        known = self._transcripts or {}
        return segments, [known.get((video_id, number), "") for number in range(1, len(segments) + 1)]

    def _frames(
        self,
        modality: str,
        video_id: str,
        frame: pd.DataFrame,
        words: Ragged | None,
        counts: Counter[str],
    ) -> tuple[Ragged, NDArray[np.float64]]:
        """Frames of every utterance of a video, with their times.

        Frames whose interval is not finite or does not run forward touch nothing and are counted.
        """
        stream, sequence = self.streams[modality], self._sequences[modality]
        values = np.zeros((0, len(stream.columns)), dtype=np.float32)
        times = np.zeros((0, 2))
        if video_id in sequence:
            features, times = self._read_numbers(modality, video_id)
            columns = self._sets[modality].columns
            values = (features if columns is None else features[:, list(columns)]).astype(np.float32)
            forward = run_forward(times)
            counts[f"{modality}_frames_without_an_interval"] += int((~forward).sum())
            values, times = values[forward], times[forward]
        segments = frame[["start_s", "end_s"]].to_numpy(np.float64)
        if self._sets[modality].level == "utterance":
            return frames_of_utterances(values, times, segments)
        return frames_of_segments(values, times, segments, words)
