"""The values of an MMSA pickle, judged before they are used: texts, ids, numbers, lengths and word pieces.

A file from a stranger may hold anything under the right keys. What has one right reading is mended and
counted; everything else is refused, with the utterances it concerns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.clip_ids import ClipNumbers
from mer_data.utterances import FRAME_MODALITIES, utterance_id

_ID = re.compile(r"(?P<video>.+)\$_\$(?P<segment>[0-9]{1,9})")
_BRACKETS = re.compile(r"(?P<video>.+)\[(?P<segment>[0-9]{1,9})\]")
_UNDERLINE = re.compile(r"(?P<video>.+)_(?P<segment>[0-9]{1,9})")
_SHOWN = 3
_ROWS = 256
_MAX_NESTING = 4
_MAX_PIECE = 1 << 31


def texts_of(
    given: Sequence[Any], what: str, where: str, names: Sequence[str] | None = None
) -> tuple[list[str], int]:
    """Return texts as ``str``, and how many of them were bytes of UTF-8, which are decoded.

    Args:
        given: N values of ``list_of``.
        what: the key, for messages.
        where: file and fold, for messages.
        names: utterance ids, for messages; None: positions are told.

    Raises:
        SourceError: anything else than texts (None, NaN, numbers, lists), bytes that are no UTF-8, or half of
            a surrogate pair.
    """
    result: list[str] = []
    wrong: list[tuple[int, str]] = []
    num_bytes = 0
    for index, text in enumerate(given):
        reason = ""
        if isinstance(text, (bytes, bytearray)):
            try:
                text = bytes(text).decode("utf-8")
                num_bytes += 1
            except UnicodeDecodeError:
                reason = f"the bytes {bytes(text[:20])!r}, which are no UTF-8"
        elif not isinstance(text, str):
            reason = repr(text) if text is None or isinstance(text, (float, int)) else type(text).__name__
        if not reason and _has_surrogate(text):
            reason = f"half of a surrogate pair in {text[:40]!r}"
        if reason:
            wrong.append((index, reason))
        else:
            result.append(str(text))
    if wrong:
        raise SourceError(
            f"{what!r} has values that are no texts ({len(wrong)} of {len(given)})",
            where=where,
            found=_listed(
                f"{reason} for {names[index] if names else f'utterance {index}'}" for index, reason in wrong
            ),
            do="Correct them with the file's own tool; an empty text is ''",
        )
    return result, num_bytes


def list_of(value: object, what: str, where: str) -> list[Any]:
    """Return an array (N,) or a list as a list.

    Raises:
        SourceError: it is neither.
    """
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return list(value.tolist())
    if isinstance(value, (list, tuple)):
        return list(value)
    raise SourceError(
        f"{what!r} is no list of texts",
        where=where,
        found=f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__,
    )


def _has_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def videos_of(given: dict[str, list[str]], path: Path) -> set[str]:
    """Return the videos of the ids of every fold; raises as `utterance_ids` does."""
    return {_parsed(name, path)[0] for names in given.values() for name in names}


def utterance_ids(
    given: dict[str, list[str]], path: Path, clips: ClipNumbers | None = None
) -> tuple[dict[str, list[str]], str | None]:
    """Return the ids of every fold as ``video$_$segment`` with segments from 1, and how they were changed.

    ``video[number]`` and ``video_number`` are read too. Numbers of MMSA's clips become segments where the
    corpus has both. Segments are counted from 0 where every video of the file has all of 0 to n - 1; all of
    them are then shifted by one.

    Args:
        given: ids as they are in the file, by fold.
        path: the file, for messages.
        clips: MMSA's clip numbers of the corpus, where they are no segment numbers.

    Returns:
        The ids by fold, and the name of the count of changed ids; None where none was changed.

    Raises:
        SourceError: another form, an id twice, a clip of no segment, or a segment 0 where the file is not
            numbered from 0.
    """
    parsed = {fold: [_parsed(name, path) for name in names] for fold, names in given.items()}
    segments: dict[str, list[int]] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for fold, pairs in parsed.items():
        for pair in pairs:
            seen[pair] += 1
            if seen[pair] > 1:
                raise SourceError(
                    f"utterance {utterance_id(*pair)} stands twice", where=f"{path}, fold {fold!r}"
                )
            segments.setdefault(pair[0], []).append(pair[1])
    if clips is not None and clips.are_clips(seen):
        number_of = dict(zip(seen, clips.to_segments(list(seen), path), strict=True))
        by_fold = {
            fold: [utterance_id(pair[0], number_of[pair]) for pair in pairs] for fold, pairs in parsed.items()
        }
        return by_fold, "clip_ids_turned_into_segments"
    shift = 1 if any(0 in numbers for numbers in segments.values()) else 0
    others = [
        repr(video) for video, numbers in segments.items() if sorted(numbers) != list(range(len(numbers)))
    ]
    if shift and others:
        zeros = [utterance_id(*pair) for pair in seen if pair[1] == 0]
        gaps = _listed(others, "videos")
        raise SourceError(
            "segments are counted from 0, and not all of them are there",
            where=path,
            found=f"{_listed(zeros)}; no complete numbering from 0 for {gaps}",
            expected="segments from 1, or for every video all segments from 0",
            do="Number the segments from 1, as the published files do: other ids would meet other folds",
        )
    result = {
        fold: [utterance_id(video, segment + shift) for video, segment in pairs]
        for fold, pairs in parsed.items()
    }
    return result, "segments_counted_from_0_shifted_by_1" if shift else None


def _parsed(name: str, path: Path) -> tuple[str, int]:
    forms = (_ID,) if "$_$" in name else (_BRACKETS, _UNDERLINE)
    found = next((match for form in forms if (match := form.fullmatch(name))), None)
    if found is None or not name.isprintable():
        raise SourceError(
            "not an utterance id",
            where=path,
            found=repr(name[:80]),
            expected="video$_$number, video[number] or video_number",
        )
    return found["video"], int(found["segment"])


def numbers_of(value: object) -> NDArray[Any] | None:
    """Return an array or nested lists of numbers as an array; None where it is something else, or uneven."""
    if isinstance(value, (list, tuple)) and _are_numbers(value, _MAX_NESTING):
        try:
            value = np.asarray(value)
        except ValueError:
            return None
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" else None


def _are_numbers(value: object, nesting: int) -> bool:
    """Whether a list holds numbers and arrays of them alone: numpy would make texts and more of others."""
    if isinstance(value, (list, tuple)):
        return nesting > 0 and all(_are_numbers(part, nesting - 1) for part in value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def lengths_of(
    part: dict[str, NDArray[Any]], names: Sequence[str], where: str
) -> tuple[dict[str, NDArray[np.int64]], bool]:
    """Return the lengths (N,) of audio and vision, and whether they were swapped and are now right.

    Raises:
        SourceError: a length that is no whole number, below 0, or above what its array has.
    """
    given = {modality: part[f"{modality}_lengths"] for modality in FRAME_MODALITIES}
    for modality, lengths in given.items():
        wrong = ~((lengths >= 0) & (lengths == np.floor(lengths)) & np.isfinite(lengths))
        _refuse_lengths(modality, lengths, wrong, names, where, "whole numbers from 0")
    audio, vision = (
        np.clip(given[modality], 0, np.iinfo(np.int64).max // 2).astype(np.int64)
        for modality in FRAME_MODALITIES
    )
    if _are_swapped(audio, vision, part["audio"], part["vision"]):
        return {"audio": vision, "vision": audio}, True
    for modality, lengths in (("audio", audio), ("vision", vision)):
        steps = part[modality].shape[1]
        _refuse_lengths(
            modality, lengths, lengths > steps, names, where, f"at most the {steps} steps of the array"
        )
    return {"audio": audio, "vision": vision}, False


def _refuse_lengths(
    modality: str, lengths: NDArray[Any], wrong: NDArray[Any], names: Sequence[str], where: str, expected: str
) -> None:
    if wrong.any():
        raise SourceError(
            f"'{modality}_lengths' has impossible values ({int(wrong.sum())} of {len(lengths)})",
            where=where,
            found=_listed(f"{lengths[index]} for {names[int(index)]}" for index in np.flatnonzero(wrong)),
            expected=expected,
            do="Correct the lengths: frames would be lost or made up",
        )


def _are_swapped(
    audio: NDArray[np.int64],
    vision: NDArray[np.int64],
    audio_frames: NDArray[Any],
    vision_frames: NDArray[Any],
) -> bool:
    """Whether it is certain that the lengths of audio are those of vision, and the other way round.

    It is where the lengths leave out frames that are not zero, or exceed the array, and exchanged they fit:
    nothing but zeros follows, and most rows end exactly where the lengths say.
    """
    ends = lengths_before_padding(audio_frames), lengths_before_padding(vision_frames)
    steps = audio_frames.shape[1], vision_frames.shape[1]
    as_given = _fit(audio, ends[0], steps[0]) and _fit(vision, ends[1], steps[1])
    exchanged = _fit(vision, ends[0], steps[0]) and _fit(audio, ends[1], steps[1])
    exact = min(float(np.mean(vision == ends[0])), float(np.mean(audio == ends[1]))) if len(audio) else 0.0
    return not as_given and exchanged and exact > 0.5


def _fit(lengths: NDArray[np.int64], ends: NDArray[np.int64], steps: int) -> bool:
    return bool((lengths <= steps).all() and (ends <= lengths).all())


def lengths_before_padding(padded: NDArray[Any]) -> NDArray[np.int64]:
    """Return the steps (N,) up to the last one of ``padded`` (N, T, d) that is not zero."""
    last = np.zeros(len(padded), dtype=np.int64)
    steps = np.arange(1, padded.shape[1] + 1)
    for start in range(0, len(padded), _ROWS):  # a comparison of all rows at once would take gigabytes
        rows = slice(start, start + _ROWS)
        last[rows] = np.where((padded[rows] != 0).any(axis=2), steps, 0).max(axis=1, initial=0)
    return last


def check_pieces(text_bert: NDArray[Any], names: Sequence[str], where: str) -> None:
    """Check the word pieces (N, 3, T: numbers, mask, segments) of one fold.

    Raises:
        SourceError: a number that is no whole number, below 0 or too large for any vocabulary; a mask that is
            not ones and then zeros.
    """
    numbers, mask = text_bert[:, 0], text_bert[:, 1]
    with np.errstate(invalid="ignore"):
        wrong = ~((numbers >= 0) & (numbers < _MAX_PIECE) & (numbers == np.floor(numbers)))
        unlike = ~((mask == 0) | (mask == 1))
        unlike[:, 1:] |= mask[:, 1:] > mask[:, :-1]
    for rows, what, values in ((wrong, "word piece", numbers), (unlike, "mask of word pieces", mask)):
        if rows.any():
            found = [(int(row), values[row][rows[row]][0]) for row in np.flatnonzero(rows.any(axis=1))]
            raise SourceError(
                f"'text_bert' has an impossible {what} ({len(found)} of {len(names)} utterances)",
                where=where,
                found=_listed(f"{value} for {names[row]}" for row, value in found),
                expected="whole numbers from 0" if rows is wrong else "ones and then zeros",
                do="Make 'text_bert' again with the tokenizer",
            )


def _listed(values: Iterable[str], of: str = "") -> str:
    """Return the first values, and how many more there are."""
    values = list(values)
    more = f" and {len(values) - _SHOWN} more {of}".rstrip() if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more
