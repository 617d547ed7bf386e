"""A generated corpus in the real format: small, free, the same for the same seed, with real oddities.

All three modalities carry signal, some words are tied to the label without meaning anything
(spurious), segments overlap, one has no length, one video lists its segments out of time order, and
some frames are -inf.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.files.writing import write_json
from mer_data.sources.csd.csd_files import write_computational_sequence


def _words(text: str) -> list[str]:
    return text.split()


_POSITIVE = _words("great loved wonderful brilliant funny moving fresh superb delightful charming")
_NEGATIVE = _words("boring hated awful weak messy dull flat terrible clumsy annoying")
_SPURIOUS_POSITIVE = _words("sunday cinema friend popcorn premiere")
_SPURIOUS_NEGATIVE = _words("monday rental traffic refund sequel")
_FILLER = _words(
    "the a and it was i we they this that movie film story actor scene plot really just so very kind of "
    "with about when you know like think watch part end then there made some music camera people"
)
Content = tuple[NDArray[Any], NDArray[np.float64]]
_TONE_WIDTH, _FACE_WIDTH = 6, 8
_TONE_HZ, _FACE_HZ = 50.0, 30.0


@dataclass(frozen=True)
class SampleSize:
    """How much is generated."""

    num_videos: int = 20
    segments_per_video: int = 24


@dataclass
class _Video:
    """The generated content of one video."""

    labels: NDArray[np.float32]
    segments: NDArray[np.float64]
    words: list[str]
    word_times: NDArray[np.float64]


def write_sample(folder: str | Path, seed: int, size: SampleSize | None = None) -> list[Path]:
    """Write the sample corpus as ``.csd`` files and ``folds.json``; equal seeds give equal values.

    Args:
        folder: target folder, made when absent.
        seed: seed of the local generator.
        size: number of videos and segments.

    Returns:
        The files written.
    """
    folder = Path(folder)
    size = size or SampleSize()
    rng = np.random.default_rng(seed)
    names = [f"sample{number:03d}" for number in range(size.num_videos)]
    videos = {name: _video(rng, size.segments_per_video, odd=index == 0) for index, name in enumerate(names)}
    tone_axes = rng.normal(size=(2, _TONE_WIDTH))
    face_axes = rng.normal(size=(2, _FACE_WIDTH))
    parts: dict[str, tuple[str, dict[str, Content], list[str]]] = {
        "sample_labels.csd": (
            "Sample Labels",
            {n: (v.labels[:, None], v.segments) for n, v in videos.items()},
            ["sentiment"],
        ),
        "sample_words.csd": (
            "words",
            {n: (_as_bytes(v.words), v.word_times) for n, v in videos.items()},
            ["word"],
        ),
        "sample_tone.csd": (
            "Sample Tone",
            {n: _stream(rng, v, tone_axes, _TONE_HZ, broken=True) for n, v in videos.items()},
            [f"tone_{index}" for index in range(_TONE_WIDTH)],
        ),
        "sample_face.csd": (
            "Sample Face",
            {n: _stream(rng, v, face_axes, _FACE_HZ, broken=False) for n, v in videos.items()},
            [f"face_{index}" for index in range(_FACE_WIDTH)],
        ),
    }
    paths = []
    for file_name, (root, content, columns) in parts.items():
        path = folder / file_name
        write_computational_sequence(
            path,
            root,
            content,
            dataset_name="sample",
            description=f"generated, seed {seed}",
            dimension_names=columns,
        )
        paths.append(path)
    write_json(folder / "folds.json", _folds(names))
    return [*paths, folder / "folds.json"]


def _folds(names: list[str]) -> dict[str, list[str]]:
    """60 / 15 / 25 per cent of the videos."""
    first, second = round(0.6 * len(names)), round(0.75 * len(names))
    return {"train": names[:first], "valid": names[first:second], "test": names[second:]}


def _video(rng: np.random.Generator, num_segments: int, *, odd: bool) -> _Video:
    """One video; ``odd`` adds a segment without length and lists two segments out of time order."""
    labels = np.clip(np.round(rng.normal(0.2, 1.6, num_segments) * 5) / 5, -3, 3).astype(np.float32)
    labels[rng.random(num_segments) < 0.05] = 0.0
    lengths = rng.integers(6, 16, num_segments)
    durations = lengths * rng.uniform(0.25, 0.4, num_segments)
    # A negative pause makes the next segment begin before this one ends, as some real segments do.
    pauses = np.where(rng.random(num_segments) < 0.1, -0.3, rng.uniform(0.05, 0.6, num_segments))
    starts = 1.0 + np.concatenate([[0.0], np.cumsum(durations + pauses)[:-1]])
    segments = np.stack([starts, starts + durations], axis=1)
    words, times = [], []
    for label, length, (start, end) in zip(labels, lengths, segments, strict=True):
        borders = np.linspace(start, end, length + 1)
        words += _sentence(rng, float(label), int(length))
        times.append(np.stack([borders[:-1], borders[1:]], axis=1))
        if rng.random() < 0.2:
            words.append("sp")
            times.append(np.array([[end, end + 0.04]]))
    if odd:
        segments[-1, 1] = segments[-1, 0]
        order = np.arange(num_segments)
        order[[2, 3]] = order[[3, 2]]
        labels, segments = labels[order], segments[order]
    return _Video(labels, segments, words, np.concatenate(times))


def _sentence(rng: np.random.Generator, label: float, length: int) -> list[str]:
    """Filler with one or two opinion words, and often a word that only happens to go with the label."""
    words = list(rng.choice(_FILLER, length))
    opinion = _POSITIVE if label > 0 else _NEGATIVE
    if label != 0:
        for place in rng.choice(length, 1 + int(abs(label) > 1.5), replace=False):
            honest = rng.random() < 0.85
            words[place] = str(rng.choice(opinion if honest else _POSITIVE + _NEGATIVE))
    if rng.random() < 0.6:
        tied = (label > 0) == (rng.random() < 0.7)
        words[int(rng.integers(length))] = str(rng.choice(_SPURIOUS_POSITIVE if tied else _SPURIOUS_NEGATIVE))
    return [str(word) for word in words]


def _stream(
    rng: np.random.Generator, video: _Video, axes: NDArray[np.float64], rate_hz: float, *, broken: bool
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Frames whose mean leans along the first axis with the label and along the second with the speaker."""
    num_frames = int((video.segments[:, 1].max() + 1.0) * rate_hz)
    edges = np.arange(num_frames + 1) / rate_hz
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    values = rng.normal(size=(num_frames, axes.shape[1])) + rng.normal() * axes[1]
    for label, (start, end) in zip(video.labels, video.segments, strict=True):
        inside = (times[:, 0] >= start) & (times[:, 0] < end)
        values[inside] += (0.35 * label + 0.3 * rng.normal()) * axes[0]
    if broken:
        values[rng.random(num_frames) < 0.002] = -np.inf
    return values.astype(np.float32), times


def _as_bytes(words: list[str]) -> NDArray[np.bytes_]:
    return np.array(words, dtype="S32")[:, None]
