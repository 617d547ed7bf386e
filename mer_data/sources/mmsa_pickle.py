"""MMSA pickles (``aligned_50.pkl``, ``unaligned_50.pkl``) and their kin: per fold, padded arrays.

Also the out-of-distribution files of CIDer (saved with joblib) and the cross-dataset files of CASP (without
lengths).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.base import Stream
from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.choices import SourceFile
from mer_data.sources.joblib_file import read_arrays
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import (
    FOLDS,
    MODALITIES,
    UTTERANCE_COLUMNS,
    Drop,
    Ragged,
    UtteranceBlock,
    utterance_id,
)

_TEXTS = ("id", "raw_text")
_REQUIRED = (*_TEXTS, "text_bert", "audio", "vision", "regression_labels")
_LENGTHS = ("audio_lengths", "vision_lengths")


class MmsaPickle:
    """An MMSA pickle; it has no times, so one file gives one alignment.

    With ``audio_lengths`` and ``vision_lengths`` the file is unaligned. Without, it is aligned (one audio and
    one vision vector beside every word piece) where both have as many steps as the word pieces; else it is
    unaligned, and a row ends at its last frame that is not zero.
    """

    form: Literal["labels", "table"] = "table"
    word_shift = 0
    has_word_times = True  # an aligned file has its frames beside its word pieces
    dropped: Sequence[Drop] = ()

    def __init__(self, path: Path, manifest: SourceManifest) -> None:
        """Read the file through the restricted reader and check its layout.

        Raises:
            SourceError: a fold or key is missing, lengths differ, a label is out of range, or an id is twice.
        """
        self.manifest = manifest
        self._path = path
        self._folds: dict[str, dict[str, Any]] = read_arrays(path)
        self._check()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file for itself."""
        return MmsaPickle, (self._path, self.manifest)

    def _check(self) -> None:
        if not isinstance(self._folds, dict) or any(fold not in self._folds for fold in FOLDS):
            found = (
                sorted(map(str, self._folds)) if isinstance(self._folds, dict) else type(self._folds).__name__
            )
            raise SourceError(
                "not an MMSA pickle", where=self._path, found=found, expected="train, valid and test"
            )
        strange = [fold for fold in FOLDS if not isinstance(self._folds[fold], dict)]
        if strange:
            raise SourceError(f"fold {strange[0]!r} is not a dict", where=self._path)
        seen: set[str] = set()
        keys = _REQUIRED + (_LENGTHS if "audio_lengths" in self._folds["train"] else ())
        for fold in FOLDS:
            part = self._folds[fold]
            missing = [key for key in keys if key not in part]
            if missing:
                raise SourceError(
                    f"fold {fold!r} lacks the key {missing[0]!r}",
                    where=self._path,
                    expected=", ".join(keys),
                    do="Use MMSA's own file, or add the key",
                )
            self._check_shapes(fold, keys)
            self._check_rows(
                fold, [str(name) for name in part["id"]], np.asarray(part["regression_labels"]), seen
            )

    def _check_shapes(self, fold: str, keys: tuple[str, ...]) -> None:
        """One row per id everywhere, and the feature widths of the training fold."""
        part = {key: _array(self._folds[fold][key]) for key in keys}
        for key, array in part.items():
            wanted: list[int | str] = [part["id"].size]
            if key == "text_bert":
                wanted += [3, "T"]
            elif key in MODALITIES:
                wanted += ["T", np.shape(self._folds["train"][key])[-1] if array.ndim == 3 else "d"]
            fits = array.ndim == len(wanted) and all(
                isinstance(size, str) or size == found
                for size, found in zip(wanted, array.shape, strict=True)
            )
            if not fits or (key not in _TEXTS and array.dtype.kind not in "iuf"):
                raise SourceError(
                    f"fold {fold!r}: {key!r} does not fit 'id' and the other folds",
                    where=self._path,
                    found=f"{array.dtype} of shape {array.shape}",
                    expected=("texts" if key in _TEXTS else "numbers")
                    + f" of shape ({', '.join(map(str, wanted))})",
                )

    def _check_rows(self, fold: str, ids: list[str], labels: NDArray[Any], seen: set[str]) -> None:
        for given, label in zip(ids, labels, strict=True):
            name = _canonical(given)
            if name in seen:
                raise SourceError(f"utterance {name} stands twice", where=f"{self._path}, fold {fold!r}")
            seen.add(name)
            if not _ID.fullmatch(name):
                raise SourceError(
                    "not an utterance id",
                    where=self._path,
                    found=repr(given),
                    expected="video$_$number, video[number] or video_number",
                )
            if not LABEL_RANGE[0] <= float(label) <= LABEL_RANGE[1]:
                raise SourceError(
                    f"label of utterance {name} is out of range",
                    where=self._path,
                    found=label,
                    expected="a number in [-3, 3]",
                )

    @property
    def alignment(self) -> str:
        """ "unaligned" when the file has frame lengths of its own, or not as many steps as word pieces."""
        train = self._folds["train"]
        if "audio_lengths" in train:
            return "unaligned"
        pieces = np.shape(train["text_bert"])[-1]
        beside = all(np.shape(train[modality])[1] == pieces for modality in MODALITIES)
        return "aligned" if beside else "unaligned"

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
        for modality in MODALITIES:
            width = np.shape(self._folds["train"][modality])[-1]
            columns = tuple(f"{modality}_{index}" for index in range(width))
            result[modality] = Stream(f"{self._path.stem}_{modality}", columns, None)
        return result

    def why_no_frames(self, modality: str) -> str:
        """All rows have the length 0, or are of zeros."""
        return f"rows of {modality} of length 0 or of zeros alone"

    def ids(self, fold: str) -> list[str]:
        """Utterance ids of one fold, as blocks have them."""
        return [_canonical(str(name)) for name in self._folds[fold]["id"]]

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
        return self._block(FOLDS[number], self._folds[FOLDS[number]])

    def _block(self, fold: str, part: dict[str, Any]) -> UtteranceBlock:
        ids = self.ids(fold)
        labels = np.asarray(part["regression_labels"], dtype=np.float32)
        rows = []
        for name, text, label in zip(ids, part["raw_text"], labels, strict=True):
            video, _, segment = name.rpartition("$_$")
            rows.append((name, video, int(segment), np.nan, np.nan, label, str(text), fold))
        frame = pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)).astype({"label": np.float32})
        text_bert = np.asarray(part["text_bert"])
        text_lengths = text_bert[:, 1].sum(axis=1).astype(np.int64)
        streams = {}
        for modality in MODALITIES:
            padded = np.asarray(part[modality], dtype=np.float32)
            if f"{modality}_lengths" in part:
                lengths = np.asarray(part[f"{modality}_lengths"], dtype=np.int64)
            elif self.alignment == "aligned":
                lengths = text_lengths
            else:
                lengths = _lengths_before_padding(padded)
            streams[modality] = _unpadded(padded, lengths)
        token_ids = _unpadded(text_bert[:, 0].astype(np.int32), text_lengths)
        return UtteranceBlock(frame, streams, token_ids=token_ids)


_ID = re.compile(r"(?P<video>.+)\$_\$(?P<segment>[0-9]+)", re.DOTALL)
_OTHER_ID = re.compile(r"(?P<video>.+)(?:\[(?P<inside>[0-9]+)\]|_(?P<segment>[0-9]+))", re.DOTALL)


def _canonical(name: str) -> str:
    """``video[number]`` and ``video_number`` as ``video$_$number``; everything else as it is."""
    found = _OTHER_ID.fullmatch(name) if "$_$" not in name else None
    return utterance_id(found["video"], int(found["inside"] or found["segment"])) if found else name


def _lengths_before_padding(padded: NDArray[Any]) -> NDArray[np.int64]:
    """Steps (N,) up to the last one of ``padded`` (N, T, d) that is not zero."""
    filled = (padded != 0).any(axis=2)
    last: NDArray[np.int64] = np.where(filled, np.arange(1, padded.shape[1] + 1), 0).max(axis=1, initial=0)
    return last


def _array(value: object) -> NDArray[Any]:
    """``value`` as an array; without dimensions where its rows are uneven."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(None)


def _unpadded(padded: NDArray[Any], lengths: NDArray[np.int64]) -> Ragged:
    """Rows of ``padded`` (N, T, ...) cut to ``lengths`` (N,)."""
    kept = np.arange(padded.shape[1])[None, :] < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    return Ragged(padded[kept], offsets)
