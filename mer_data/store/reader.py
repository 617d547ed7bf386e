"""``FeatureStore``: one HDF5 file per dataset and alignment, written whole and read row by row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import StoreError
from mer_data.files.hdf5_faults import FileKind
from mer_data.files.hdf5_files import FileIdentity, identity_if_trusted, open_hdf5
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import FRAME_MODALITIES, UTTERANCE_COLUMNS, WORD_DTYPE, Ragged, offsets_of

FORMAT = "mer-data/store"
VERSION = 2
"""From version 2 on, audio or vision may be absent; a store with both is written as version 1."""
JSON_ATTRIBUTES = ("sources", "columns", "feature_sets", "frame_rate_hz", "limits", "cleaning")
STRING_COLUMNS = ("id", "video_id", "text", "fold")
_VALUES_OF = {"words": "words/times", "tokens": "tokens/ids"} | {m: f"{m}/values" for m in FRAME_MODALITIES}
_BUILD_AGAIN = "Build it again with `mer-data build --force`"
STORE_FILE = FileKind("the store", StoreError, _BUILD_AGAIN)


@dataclass(frozen=True)
class StoreRows:
    """Some utterances of a store, in the order asked for.

    Attributes:
        token_ids: word pieces, special tokens included.
        token_words: index into the utterance's words for each piece, -1 where it has none.
        streams: frames (sum_T, d) float32 of the modalities that the store has.
    """

    token_ids: Ragged
    token_words: Ragged
    streams: dict[str, Ragged]


class FeatureStore:
    """A store, opened lazily: the file is opened at the first read, once per process."""

    def __init__(self, path: str | Path) -> None:
        """Use ``FeatureStore.open``, which checks the file."""
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._trusted: FileIdentity | None = None
        self._owner = -1
        self._datasets: dict[str, h5py.h5d.DatasetID] = {}
        self._arrays: dict[str, NDArray[Any]] = {}  # offsets and word pieces, kept once read
        self._shorter: dict[str, int] = {}

    @classmethod
    def open(cls, path: str | Path) -> FeatureStore:
        """Open a store and check its format and version.

        Raises:
            StoreError: missing, not a store, damaged, locked, not permitted, or of a newer version.
        """
        store = cls(Path(path))
        if not store.path.is_file():
            raise StoreError("no store", where=store.path, do="Make it with `mer-data build`")
        with store._checked():
            attributes = dict(store._h5.attrs)
        if (found := attributes.get("format")) != FORMAT:
            raise StoreError("not a feature store", where=store.path, found=found, expected=FORMAT)
        with store._checked():
            version = int(attributes.get("version", 0))
        if version > VERSION:
            raise StoreError(
                "the store is of a newer version",
                where=store.path,
                found=version,
                expected=f"at most {VERSION}",
                do="Update mer-data, or build the store again with `mer-data build --force`",
            )
        if "content_digest" not in attributes:
            raise StoreError("the store was not finished", where=store.path, do=_BUILD_AGAIN)
        return store

    @property
    def _h5(self) -> h5py.File:
        # A handle inherited over fork shares its position with the parent: each process opens its own.
        if self._file is None or self._owner != os.getpid():
            self._file = open_hdf5(self.path, STORE_FILE, self._trusted)
            self._owner = os.getpid()
            self._datasets = {}
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        """Only the path and the limits travel to another process, and that the file has been examined."""
        kept = {"_shorter": self._shorter, "_trusted": identity_if_trusted(self.path)}
        return vars(FeatureStore(self.path)) | kept

    def attribute(self, name: str) -> Any:
        """One attribute; JSON-encoded ones are decoded."""
        with self._checked():
            value = self._h5.attrs[name]
            return json.loads(value) if name in JSON_ATTRIBUTES else value

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.attribute("dataset"))

    @property
    def alignment(self) -> str:
        """ "aligned" or "unaligned"."""
        return str(self.attribute("alignment"))

    @property
    def utterance_digest(self) -> str:
        """Digest of ids, labels and texts: equal for every store of one corpus."""
        return str(self.attribute("utterance_digest"))

    @property
    def content_digest(self) -> str:
        """Digest of everything in the store."""
        return str(self.attribute("content_digest"))

    @property
    def limits(self) -> dict[str, int]:
        """Longest rows a model is served, for "text", "audio" and "vision"."""
        limits: dict[str, int] = self.attribute("limits")
        return {name: min(limit, self._shorter.get(name, limit)) for name, limit in limits.items()}

    def limited(self, limits: dict[str, int]) -> FeatureStore:
        """The same store, whose rows are served no longer than ``limits`` either."""
        other = FeatureStore(self.path)
        other._shorter = {name: min(own, limits.get(name, own)) for name, own in self.limits.items()}
        return other

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """Those of "audio" and "vision" that the store has; none in a store of texts alone."""
        with self._checked():
            # The stated columns distinguish an absent modality from one that was lost.
            stated = json.loads(self._h5.attrs["columns"]) if "columns" in self._h5.attrs else self._h5
            return tuple(modality for modality in FRAME_MODALITIES if modality in stated)

    def width(self, modality: str) -> int:
        """Number of feature columns d of "audio" or "vision"; 0 where the store has no such modality."""
        if modality not in self.modalities:
            return 0
        with self._checked():
            return int(self._h5[modality]["values"].shape[1])

    def lengths(self, group: str) -> NDArray[np.int64]:
        """Row lengths (N,) of "tokens", "words", "audio" or "vision"; zeros for an absent modality."""
        if group in FRAME_MODALITIES and group not in self.modalities:
            return np.zeros(len(self), dtype=np.int64)
        return np.diff(self._offsets(group))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens."""
        with self._checked():
            text = bytes(self._h5["tokens/tokenizer_json"][()]).decode("utf-8")
        try:
            return Tokenizer.from_json(str(self.attribute("tokenizer")), text)
        except ValueError as error:
            raise StoreError("cannot read the tokenizer", where=self.path, do=_BUILD_AGAIN) from error

    @cached_property
    def utterances(self) -> pd.DataFrame:
        """One row per utterance with the columns ``UTTERANCE_COLUMNS``."""
        with self._checked():
            group = self._h5["utterances"]
            columns = {
                name: _read_strings(group, name) if name in STRING_COLUMNS else group[name][()]
                for name in UTTERANCE_COLUMNS
            }
            return pd.DataFrame(columns)

    def __len__(self) -> int:
        """Number of utterances N."""
        with self._checked():
            return int(self._h5["utterances/label"].shape[0])

    def words(self, index: int) -> NDArray[Any]:
        """Timestamped words (dtype ``WORD_DTYPE``) of one utterance."""
        offsets = self._offsets("words")
        (row,) = _checked_rows([index], offsets)
        start, end = offsets[row : row + 2]
        with self._checked():
            group = self._h5["words"]
            text_start, *ends = group["token_offsets"][start : end + 1]
            raw = bytes(group["token_values"][text_start : ends[-1]]) if ends else b""
            times = group["times"][start:end]
            bounds = np.array([text_start, *ends]) - text_start
            tokens = [raw[a:b].decode("utf-8") for a, b in pairwise(bounds)]
            return np.array([(t, *time) for t, time in zip(tokens, times, strict=True)], dtype=WORD_DTYPE)

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> StoreRows:
        """Rows ``indices`` without touching others.

        Raises:
            StoreError: a chunk fails its checksum.
        """
        streams = {modality: self._frames(modality, indices) for modality in self.modalities}
        return StoreRows(self._tokens("ids", indices), self._tokens("words", indices), streams)

    def read_tokens(self, indices: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Word pieces of the rows ``indices``, without their frames; raises as ``read`` does."""
        return self._tokens("ids", indices)

    @contextmanager
    def _checked(self) -> Iterator[None]:
        """Whatever a damaged file makes HDF5 raise becomes a ``StoreError``."""
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise StoreError("a chunk fails its checksum", where=self.path, do=_BUILD_AGAIN) from error
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"the store is damaged ({reason})", where=self.path, do=_BUILD_AGAIN) from error

    def _tokens(self, name: str, indices: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Rows of a dataset that is small enough to be kept: as large as the texts."""
        key = f"tokens/{name}"
        if key not in self._arrays:
            with self._checked():
                self._arrays[key] = self._h5[key][()]
        offsets = self._offsets("tokens")
        rows = _checked_rows(indices, offsets)
        with self._checked():
            return Ragged(self._arrays[key], offsets).take(rows)

    def _frames(self, modality: str, indices: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Rows of a stream, each read straight to its place; neighbours in the file in one go."""
        offsets = self._offsets(modality)
        rows = _checked_rows(indices, offsets)
        starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
        places = offsets_of(lengths)
        with self._checked():
            file = self._h5  # first: in another process it opens the file again and forgets the datasets
            if modality not in self._datasets:
                self._datasets[modality] = file[modality]["values"].id
            dataset = self._datasets[modality]
            width = dataset.shape[1]
            values = np.empty((places[-1], width), dtype=np.float32)
            # Rows that follow each other in the file are one run, read by one call.
            first = np.flatnonzero(np.append(True, starts[1:] != starts[:-1] + lengths[:-1])[: len(starts)])
            space = dataset.get_space()
            sizes = np.add.reduceat(lengths, first) if len(first) else lengths
            runs = zip(starts[first].tolist(), sizes.tolist(), places[first].tolist(), strict=True)
            for start, size, place in runs:
                if size:
                    space.select_hyperslab((start, 0), (size, width))
                    memory = h5py.h5s.create_simple((size, width))
                    dataset.read(memory, space, values[place : place + size], h5py.h5t.NATIVE_FLOAT)
        return Ragged(values, places)

    def _offsets(self, group: str) -> NDArray[np.int64]:
        key = f"{group}/offsets"
        if key not in self._arrays:
            with self._checked():
                offsets = self._h5[key][()].astype(np.int64, casting="safe")
                values = self._h5[_VALUES_OF[group]]
                if not len(offsets) or offsets[0] != 0 or (np.diff(offsets) < 0).any():
                    raise ValueError(f"{key} do not grow from 0")
                if offsets[-1] != len(values) or len(offsets) != len(self) + 1:
                    raise ValueError(f"{key} do not fit the values or the utterances")
                self._arrays[key] = offsets
        return self._arrays[key]

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._file is not None and self._owner == os.getpid():
            self._file.close()
        self._file, self._datasets = None, {}


def _checked_rows(
    indices: Sequence[int] | NDArray[np.integer], offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rows asked for, which all are in the store."""
    chosen = np.asarray(indices, dtype=np.int64)
    if ((chosen < 0) | (chosen >= len(offsets) - 1)).any():
        found = f"{chosen.min()} to {chosen.max()}"
        raise IndexError(f"rows {found} are out of bounds of {len(offsets) - 1} utterances")
    return chosen


def _read_strings(group: h5py.Group, name: str) -> list[str]:
    raw, offsets = bytes(group[f"{name}_values"][()]), group[f"{name}_offsets"][()]
    return [raw[a:b].decode("utf-8") for a, b in pairwise(offsets)]
