"""A folder of ``.csd`` files (CMU-MOSI, CMU-MOSEI, the sample) as utterance blocks, one video each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.alignment import TOLERANCE_S, overlaps, own_words
from mer_data.errors import SourceError
from mer_data.sources.base import Stream
from mer_data.sources.catalogue import FeatureSet, SourceManifest
from mer_data.sources.csd_files import ComputationalSequence
from mer_data.sources.folds import check_videos_known, standard_folds
from mer_data.sources.transcripts import read_transcripts
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import (
    MODALITIES,
    NO_FOLD,
    UTTERANCE_COLUMNS,
    WORD_DTYPE,
    Drop,
    Ragged,
    UtteranceBlock,
    utterance_id,
)


class ComputationalSequences:
    """Labels, words, audio and vision of a folder, found by root name through the source manifest.

    Words go to exactly one segment (``alignment.own_words``). Text comes from the transcripts where
    the folder has them, otherwise from an utterance's own words.
    """

    alignment: str | None = None

    def __init__(self, folder: Path, manifest: SourceManifest, chosen: dict[str, str | None]) -> None:
        """Find the files.

        Args:
            folder: folder with the ``.csd`` files.
            manifest: source manifest of the dataset.
            chosen: for "audio" and "vision" the name of the set to take, or None when there is one.

        Raises:
            SourceError: a role has no file or several, a file is damaged, or a fold names an unknown video.
        """
        self.manifest = manifest
        self._folder = folder
        found = _find_sets(folder, manifest)
        self._sets: dict[str, FeatureSet] = {}
        self._sequences: dict[str, ComputationalSequence] = {}
        for role in ("labels", "words", *MODALITIES):
            picked = _pick(role, found, chosen.get(role), folder, manifest)
            if picked is not None:
                self._sets[role], self._sequences[role] = picked
        self._labels = self._sequences["labels"]
        self._transcripts_path = folder / manifest.transcripts if manifest.transcripts else None
        self._transcripts = (
            read_transcripts(self._transcripts_path)
            if self._transcripts_path and self._transcripts_path.exists()
            else None
        )
        if self._transcripts is None and "words" not in self._sequences:
            raise SourceError("neither words nor transcripts", where=folder, do="Add the words .csd file")
        self._folds = standard_folds(manifest.folds, folder)
        check_videos_known(self._folds, self._labels.videos, self._labels.path)

    @property
    def files(self) -> tuple[Path, ...]:
        """The ``.csd`` files read, the transcripts, and the folds where they are a file."""
        paths = [sequence.path for sequence in self._sequences.values()]
        if self._transcripts is not None and self._transcripts_path is not None:
            paths.append(self._transcripts_path)
        if self.manifest.folds.kind == "file":
            paths.append(self._folder / self.manifest.folds.name)
        return tuple(paths)

    @cached_property
    def streams(self) -> dict[str, Stream]:
        """Audio and vision after the choice of columns."""
        return {modality: self._stream(modality) for modality in MODALITIES}

    @property
    def num_blocks(self) -> int:
        """Number of videos."""
        return len(self._labels.videos)

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield one block per video, in the order of the video ids."""
        for number in range(self.num_blocks):
            yield self.block(number)

    def block(self, number: int) -> UtteranceBlock:
        """The block of one video."""
        return self._block(self._labels.videos[number])

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

    def _block(self, video_id: str) -> UtteranceBlock:
        labels, segments = self._labels_of(video_id)
        rows, dropped = [], []
        for number, (label, (start, end)) in enumerate(zip(labels, segments, strict=True), start=1):
            name = utterance_id(video_id, number)
            if not LABEL_RANGE[0] <= label <= LABEL_RANGE[1]:
                raise SourceError(
                    f"label of utterance {name} is out of range",
                    where=self._labels.path,
                    found=label,
                    expected="a number in [-3, 3]",
                )
            if not np.isfinite([start, end]).all() or end < start:
                dropped.append(Drop(name, f"interval [{start}, {end}] does not run forward"))
                continue
            text = "" if self._transcripts is None else self._transcripts.get((video_id, number), "")
            rows.append((name, video_id, number, start, end, label, text, self._folds.get(video_id, NO_FOLD)))
        frame = pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)).astype({"label": np.float32})
        counts: Counter[str] = Counter()
        if self._transcripts is not None:
            counts["utterances_without_transcript"] = int((frame["text"] == "").sum())
        words = self._words(video_id, frame, counts)
        if self._transcripts is None and words is not None:
            frame["text"] = [" ".join(row["token"]) for row in (words[i] for i in range(len(frame)))]
        streams, times = {}, {}
        for modality in MODALITIES:
            streams[modality], times[modality] = self._frames(modality, video_id, frame, words)
        return UtteranceBlock(frame, streams, words, times, dropped=dropped, counts=dict(counts))

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

    def _words(self, video_id: str, frame: pd.DataFrame, counts: Counter[str]) -> Ragged | None:
        sequence = self._sequences.get("words")
        if sequence is None:
            return None
        words = np.empty(0, dtype=WORD_DTYPE)
        if video_id in sequence:
            features, times = sequence.read(video_id)
            tokens = [_decode(value) for value in features[:, 0]]
            words = np.array([(t, *time) for t, time in zip(tokens, times, strict=True)], dtype=WORD_DTYPE)
            spoken = ~np.isin(words["token"], self.manifest.silence_tokens)
            counts["silence_markers_removed"] += int((~spoken).sum())
            words = words[spoken]
        transcripts = (
            [text.lower().split() for text in frame["text"]] if self._transcripts is not None else None
        )
        word_times = np.stack([words["start_s"], words["end_s"]], axis=1).reshape(-1, 2)
        segments = frame[["start_s", "end_s"]].to_numpy(np.float64)
        owners = own_words([w.lower() for w in words["token"]], word_times, segments, transcripts)
        counts["words_outside_all_segments"] += int((owners < 0).sum())
        rows = [words[owners == index] for index in range(len(frame))]
        return Ragged.from_rows([row[np.argsort(row["start_s"], kind="stable")] for row in rows], words)

    def _frames(
        self, modality: str, video_id: str, frame: pd.DataFrame, words: Ragged | None
    ) -> tuple[Ragged, NDArray[np.float64]]:
        """Frames that touch each segment or one of its words, with their times.

        Overlapping segments share frames; a word may reach over the border of its segment.
        """
        stream, sequence = self.streams[modality], self._sequences[modality]
        values = np.zeros((0, len(stream.columns)), dtype=np.float32)
        times = np.zeros((0, 2))
        if video_id in sequence:
            features, times = self._read_numbers(modality, video_id)
            columns = self._sets[modality].columns
            values = (features if columns is None else features[:, list(columns)]).astype(np.float32)
        segments = frame[["start_s", "end_s"]].to_numpy(np.float64)
        if self._sets[modality].level == "utterance":
            chosen = _one_row_each(segments, times)
            times = np.tile([-np.inf, np.inf], (len(times), 1))
        else:
            reach = segments if words is None else _reach(segments, words)
            chosen = [np.flatnonzero(overlaps(times, start, end) > TOLERANCE_S) for start, end in reach]
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


def _decode(value: bytes | str | np.bytes_) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _find_sets(folder: Path, manifest: SourceManifest) -> list[tuple[FeatureSet, ComputationalSequence]]:
    paths = sorted(folder.glob("*.csd"))
    if not paths:
        raise SourceError(
            "no .csd files",
            where=folder,
            do=f"Pass --source with the folder of {manifest.title}'s files"
            + (f", or run `mer-data download {manifest.dataset}` first" if manifest.collections else ""),
        )
    found = []
    for path in paths:
        sequence = ComputationalSequence(path)
        known = manifest.find(sequence.root)
        if known is not None:
            found.append((known, sequence))
    return found


def _pick(
    role: str,
    found: list[tuple[FeatureSet, ComputationalSequence]],
    chosen: str | None,
    folder: Path,
    manifest: SourceManifest,
) -> tuple[FeatureSet, ComputationalSequence] | None:
    """The one set of ``role``; words may be absent where transcripts are present."""
    sets = [pair for pair in found if pair[0].role == role]
    names = [known.name for known, _ in sets]
    if chosen is not None:
        sets = [pair for pair in sets if pair[0].name == chosen]
    if len(sets) == 1:
        return sets[0]
    if len(sets) > 1:
        option = f"--{role} NAME" if role in MODALITIES else "removing all but one file"
        raise SourceError(
            f"several {role} sets", where=folder, found=", ".join(names), do=f"Choose by {option}"
        )
    if chosen is not None:
        raise SourceError(
            f"no {role} set {chosen!r}",
            where=folder,
            found=", ".join(names) or "none",
            do="Choose one of those found",
        )
    if role == "words":
        return None
    roots = [root for known in manifest.features if known.role == role for root in known.roots]
    raise SourceError(
        f"no {role} file",
        where=folder,
        found="no .csd with a known root name",
        expected="one of the roots " + ", ".join(roots),
    )
