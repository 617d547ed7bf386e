"""MMSA pickles (``aligned_50.pkl``, ``unaligned_50.pkl``) and their kin: per fold, padded arrays.

Also the out-of-distribution files of CIDer (saved with joblib) and the cross-dataset files of CASP (without
lengths).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.base import SourceFile, Stream
from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.clip_ids import ClipNumbers
from mer_data.sources.folds import check_label
from mer_data.sources.pickles.joblib_file import read_arrays
from mer_data.sources.pickles.mmsa_values import (
    check_pieces,
    lengths_before_padding,
    lengths_of,
    list_of,
    numbers_of,
    texts_of,
    utterance_ids,
    videos_of,
)
from mer_data.utterances import (
    FOLDS,
    FRAME_MODALITIES,
    UTTERANCE_COLUMNS,
    DroppedUtterance,
    Ragged,
    UtteranceBlock,
    offsets_of,
)

_TEXTS = ("id", "raw_text")
_NUMBERS = ("text_bert", *FRAME_MODALITIES, "regression_labels")
_LENGTHS = ("audio_lengths", "vision_lengths")


@dataclass(frozen=True)
class _Fold:
    """The checked values of one fold.

    Attributes:
        ids: N utterance ids.
        texts: N texts.
        numbers: arrays by key, as in the file.
        lengths: steps (N,) of each modality; empty where the file has none.
        counts: named counts of what was mended.
    """

    ids: list[str]
    texts: list[str]
    numbers: dict[str, NDArray[Any]]
    lengths: dict[str, NDArray[np.int64]]
    counts: dict[str, int]


class MmsaPickle:
    """An MMSA pickle; it has no times, so one file gives one alignment.

    With ``audio_lengths`` and ``vision_lengths`` the file is unaligned. Without, it is aligned (one audio and
    one vision vector for every word piece) where both have as many steps as the word pieces; else it is
    unaligned, and a row ends at its last frame that is not zero.
    """

    form: Literal["labels", "table"] = "table"
    word_shift = 0
    has_word_times = True  # an aligned file has a frame for each word piece
    dropped: Sequence[DroppedUtterance] = ()

    def __init__(self, path: Path, manifest: SourceManifest | Callable[[set[str]], SourceManifest]) -> None:
        """Read the file through the restricted reader and check everything that is taken from it.

        Texts of bytes are decoded, segments that are counted from 0 are shifted, and lengths of audio and
        vision that are certainly swapped are exchanged; the blocks count it.

        Args:
            path: the file.
            manifest: source manifest of the dataset, or what chooses it by the videos of the file.

        Raises:
            SourceError: a fold or key is missing, shapes do not fit, or a value is impossible.
        """
        self._path = path
        content = read_arrays(path)
        self._check_keys(content)
        self._has_lengths = "audio_lengths" in content["train"]
        given = {fold: self._texts(fold, content[fold], "id") for fold in FOLDS}
        names = {fold: texts for fold, (texts, _) in given.items()}
        self.manifest = manifest(videos_of(names, path)) if callable(manifest) else manifest
        ids, change = utterance_ids(names, path, ClipNumbers.from_manifest(self.manifest))
        widths: dict[str, int] = {}
        self._folds: dict[str, _Fold] = {}
        for fold in FOLDS:
            counts = {"texts_of_bytes_decoded": given[fold][1]}
            if change is not None:
                counts[change] = len(ids[fold])
            self._folds[fold] = self._checked(fold, content[fold], ids[fold], widths, counts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file for itself."""
        return MmsaPickle, (self._path, self.manifest)

    def _where(self, fold: str) -> str:
        return f"{self._path}, fold {fold!r}"

    def _check_keys(self, content: object) -> None:
        """Every fold is there, with the same keys."""
        if not isinstance(content, dict) or any(fold not in content for fold in FOLDS):
            found = (
                [repr(key)[:40] for key in content][:10]
                if isinstance(content, dict)
                else type(content).__name__
            )
            raise SourceError(
                "not an MMSA pickle", where=self._path, found=found, expected="train, valid and test"
            )
        strange = [fold for fold in FOLDS if not isinstance(content[fold], dict)]
        if strange:
            raise SourceError(f"fold {strange[0]!r} is not a dict", where=self._path)
        keys = (*_TEXTS, *_NUMBERS, *(_LENGTHS if "audio_lengths" in content["train"] else ()))
        for fold in FOLDS:
            missing = [key for key in keys if key not in content[fold]]
            if missing:
                raise SourceError(
                    f"fold {fold!r} lacks the key {missing[0]!r}",
                    where=self._path,
                    expected=", ".join(keys),
                    do="Use MMSA's own file, or add the key",
                )

    def _checked(
        self, fold: str, part: dict[str, Any], ids: list[str], widths: dict[str, int], counts: dict[str, int]
    ) -> _Fold:
        """One fold, every value of it judged."""
        where = self._where(fold)
        texts, num_bytes = self._texts(fold, part, "raw_text", ids)
        counts["texts_of_bytes_decoded"] += num_bytes
        keys = (*_NUMBERS, *(_LENGTHS if self._has_lengths else ()))
        numbers = {key: self._numbers(fold, key, part[key], len(ids), widths) for key in keys}
        for name, label in zip(ids, numbers["regression_labels"].tolist(), strict=True):
            check_label(name, label, self._path)
        check_pieces(numbers["text_bert"], ids, where)
        lengths: dict[str, NDArray[np.int64]] = {}
        if self._has_lengths:
            lengths, swapped = lengths_of(numbers, ids, where)
            counts["swapped_lengths_of_audio_and_vision_exchanged"] = len(ids) if swapped else 0
        return _Fold(ids, texts, numbers, lengths, counts)

    def _texts(
        self, fold: str, part: dict[str, Any], key: str, ids: list[str] | None = None
    ) -> tuple[list[str], int]:
        """The texts of one key, as many as ids, and how many were bytes."""
        given = list_of(part[key], key, self._where(fold))
        if ids is not None:
            self._check_shape(fold, key, "texts", (len(given),), [len(ids)])
        return texts_of(given, key, self._where(fold), ids)

    def _numbers(
        self, fold: str, key: str, value: object, num_rows: int, widths: dict[str, int]
    ) -> NDArray[Any]:
        """One row per id everywhere, and the feature widths of the training fold."""
        array = numbers_of(value)
        wanted: list[int | str] = [num_rows]
        if key == "text_bert":
            wanted += [3, "T"]
        elif key in FRAME_MODALITIES:
            wanted += ["T", widths.get(key, "d")]
        if array is None:
            raise self._unlike(fold, key, _described(value), wanted)
        self._check_shape(fold, key, str(array.dtype), array.shape, wanted)
        if key in FRAME_MODALITIES:
            if array.shape[2] == 0:
                raise SourceError(
                    f"{key!r} has no columns", where=self._where(fold), found=f"shape {array.shape}"
                )
            widths[key] = array.shape[2]
        return array

    def _check_shape(
        self, fold: str, key: str, kind: str, shape: tuple[int, ...], wanted: list[int | str]
    ) -> None:
        fits = len(shape) == len(wanted) and all(
            isinstance(size, str) or size == found for size, found in zip(wanted, shape, strict=True)
        )
        if not fits:
            raise self._unlike(fold, key, f"{kind} of shape {shape}", wanted)

    def _unlike(self, fold: str, key: str, found: str, wanted: list[int | str]) -> SourceError:
        return SourceError(
            f"fold {fold!r}: {key!r} does not fit 'id' and the other folds",
            where=self._path,
            found=found,
            expected=("texts" if key in _TEXTS else "numbers") + f" of shape ({', '.join(map(str, wanted))})",
        )

    @property
    def alignment(self) -> str:
        """ "unaligned" when the file has frame lengths of its own, or not as many steps as word pieces."""
        train = self._folds["train"].numbers
        pieces = train["text_bert"].shape[2]
        same_steps = all(train[modality].shape[1] == pieces for modality in FRAME_MODALITIES)
        return "aligned" if same_steps and not self._has_lengths else "unaligned"

    @property
    def files(self) -> tuple[Path, ...]:
        """The pickle."""
        return (self._path,)

    @property
    def listing(self) -> tuple[SourceFile, ...]:
        """The pickle."""
        return (SourceFile(self._path, "corpus", "a pickle in MMSA's layout"),)

    @property
    def streams(self) -> dict[str, Stream]:
        """Audio and vision as they are in the file, under the name of the file."""
        result = {}
        for modality in FRAME_MODALITIES:
            width = self._folds["train"].numbers[modality].shape[2]
            columns = tuple(f"{modality}_{index}" for index in range(width))
            result[modality] = Stream(f"{self._path.stem}_{modality}", columns, None)
        return result

    def why_no_frames(self, modality: str) -> str:
        """All rows have the length 0, or are of zeros."""
        return f"rows of {modality} of length 0 or of zeros alone"

    def ids(self, fold: str) -> list[str]:
        """Utterance ids of one fold, as blocks have them."""
        return self._folds[fold].ids

    @property
    def video_ids(self) -> set[str]:
        """Videos of all utterances."""
        return {name.rpartition("$_$")[0] for fold in FOLDS for name in self.ids(fold)}

    @property
    def num_blocks(self) -> int:
        """One block per fold."""
        return len(FOLDS)

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield train, valid and test."""
        for number in range(self.num_blocks):
            yield self.block(number)

    def block(self, number: int) -> UtteranceBlock:
        """The block of one fold."""
        fold = self._folds[FOLDS[number]]
        labels = fold.numbers["regression_labels"].astype(np.float32)
        rows = []
        for name, text, label in zip(fold.ids, fold.texts, labels, strict=True):
            video, _, segment = name.rpartition("$_$")
            rows.append((name, video, int(segment), np.nan, np.nan, label, text, FOLDS[number]))
        frame = pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)).astype({"label": np.float32})
        text_bert = fold.numbers["text_bert"]
        text_lengths = text_bert[:, 1].sum(axis=1).astype(np.int64)
        streams = {}
        for modality in FRAME_MODALITIES:
            with np.errstate(over="ignore"):  # the build counts what is infinite
                padded = fold.numbers[modality].astype(np.float32, copy=False)
            if fold.lengths:
                lengths = fold.lengths[modality]
            else:
                lengths = text_lengths if self.alignment == "aligned" else lengths_before_padding(padded)
            streams[modality] = _unpadded(padded, lengths)
        token_ids = _unpadded(text_bert[:, 0].astype(np.int32), text_lengths)
        return UtteranceBlock(frame, streams, token_ids=token_ids, counts=dict(fold.counts))


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"{type(value).__name__} that is uneven or holds other things than numbers"


def _unpadded(padded: NDArray[Any], lengths: NDArray[np.int64]) -> Ragged:
    """Rows of ``padded`` (N, T, ...) cut to ``lengths`` (N,)."""
    kept = np.arange(padded.shape[1])[None, :] < lengths[:, None]
    return Ragged(padded[kept], offsets_of(kept.sum(axis=1)))
