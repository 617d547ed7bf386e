"""``FeatureStore``: one HDF5 file per dataset and alignment, written whole and read row by row."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
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
from mer_data.utterances import MODALITIES, UTTERANCE_COLUMNS, WORD_DTYPE, Ragged
from mer_data.word_pieces import WordPieces

FORMAT = "mer-data/store"
VERSION = 1
STRING_COLUMNS = ("id", "video_id", "text", "fold")


@dataclass(frozen=True)
class StoreRows:
    """Some utterances of a store, in the order asked for.

    Attributes:
        token_ids: word pieces, special tokens included.
        token_words: index into the utterance's words for each piece, -1 where it has none.
        streams: "audio" and "vision" frames (sum_T, d) float32.
    """

    token_ids: Ragged
    token_words: Ragged
    streams: dict[str, Ragged]


class FeatureStore:
    """A store, opened lazily: the file is opened at the first read, once per process."""

    def __init__(self, path: Path) -> None:
        """Use ``FeatureStore.open``, which checks the file."""
        self.path = path
        self._file: h5py.File | None = None
        self._owner = -1

    @classmethod
    def open(cls, path: str | Path) -> FeatureStore:
        """Open a store and check its format and version.

        Raises:
            StoreError: missing, not a store, damaged, or of a newer version.
        """
        store = cls(Path(path))
        if not store.path.is_file():
            raise StoreError("no store", where=store.path, do="Make it with `mer-data build`")
        attributes = store._read_attributes()
        if attributes.get("format") != FORMAT:
            found = attributes.get("format")
            raise StoreError("not a feature store", where=store.path, found=found, expected=FORMAT)
        version = int(attributes.get("version", 0))
        if version > VERSION:
            raise StoreError(
                "the store is of a newer version",
                where=store.path,
                found=version,
                expected=f"at most {VERSION}",
                do="Update mer-data, or build the store again with `mer-data build --force`",
            )
        return store

    @property
    def _h5(self) -> h5py.File:
        # A handle inherited over fork shares its position with the parent: each process opens its own.
        if self._file is None or self._owner != os.getpid():
            try:
                self._file = h5py.File(self.path, "r")
            except OSError as error:
                raise StoreError(
                    "cannot open the store (truncated or not HDF5)",
                    where=self.path,
                    do="Build it again with `mer-data build --force`",
                ) from error
            self._owner = os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        """Only the path travels to another process."""
        return {"path": self.path, "_file": None, "_owner": -1}

    def _read_attributes(self) -> dict[str, Any]:
        return dict(self._h5.attrs)

    def attribute(self, name: str) -> Any:
        """One attribute; JSON-encoded ones are decoded."""
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
        return limits

    def width(self, modality: str) -> int:
        """Number of feature columns d of "audio" or "vision"."""
        return int(self._h5[modality]["values"].shape[1])

    def lengths(self, group: str) -> NDArray[np.int64]:
        """Row lengths (N,) of "tokens", "words", "audio" or "vision"."""
        return np.diff(self._offsets(group))

    @cached_property
    def word_pieces(self) -> WordPieces:
        """The tokenizer that made the tokens."""
        text = bytes(self._h5["tokens/tokenizer_json"][()]).decode("utf-8")
        return WordPieces.from_json(str(self.attribute("tokenizer")), text)

    @cached_property
    def utterances(self) -> pd.DataFrame:
        """One row per utterance with the columns ``UTTERANCE_COLUMNS``."""
        group = self._h5["utterances"]
        columns = {
            name: _read_strings(group, name) if name in STRING_COLUMNS else group[name][()]
            for name in UTTERANCE_COLUMNS
        }
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        """Number of utterances N."""
        return int(self._h5["utterances/label"].shape[0])

    def words(self, index: int) -> NDArray[Any]:
        """Timestamped words (dtype ``WORD_DTYPE``) of one utterance."""
        group = self._h5["words"]
        start, end = group["offsets"][index : index + 2]
        text_start, *ends = group["token_offsets"][start : end + 1]
        raw = bytes(group["token_values"][text_start : ends[-1]]) if ends else b""
        bounds = np.array([text_start, *ends]) - text_start
        tokens = [raw[a:b].decode("utf-8") for a, b in pairwise(bounds)]
        times = group["times"][start:end]
        return np.array([(t, *time) for t, time in zip(tokens, times, strict=True)], dtype=WORD_DTYPE)

    def read(self, indices: Sequence[int] | NDArray[np.integer]) -> StoreRows:
        """Rows ``indices`` without touching others.

        Raises:
            StoreError: a chunk fails its checksum.
        """
        try:
            return StoreRows(
                token_ids=self._ragged("tokens", "ids", indices),
                token_words=self._ragged("tokens", "words", indices),
                streams={modality: self._ragged(modality, "values", indices) for modality in MODALITIES},
            )
        except OSError as error:
            raise StoreError(
                "a chunk fails its checksum",
                where=self.path,
                do="Build it again with `mer-data build --force`",
            ) from error

    def read_tokens(self, indices: Sequence[int] | NDArray[np.integer]) -> Ragged:
        """Word pieces of the rows ``indices``, without their frames."""
        return self._ragged("tokens", "ids", indices)

    def _ragged(self, group: str, name: str, indices: Sequence[int] | NDArray[np.integer]) -> Ragged:
        values, offsets = self._h5[group][name], self._offsets(group)
        rows = [values[offsets[index] : offsets[index + 1]] for index in indices]
        return Ragged.from_rows(rows, np.empty((0, *values.shape[1:]), dtype=values.dtype))

    def _offsets(self, group: str) -> NDArray[np.int64]:
        if group not in self._cached_offsets:
            self._cached_offsets[group] = self._h5[group]["offsets"][()]
        return self._cached_offsets[group]

    @cached_property
    def _cached_offsets(self) -> dict[str, NDArray[np.int64]]:
        return {}

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._file is not None and self._owner == os.getpid():
            self._file.close()
        self._file = None


JSON_ATTRIBUTES = ("sources", "columns", "feature_sets", "frame_rate_hz", "limits", "cleaning")


def utterance_digest(utterances: pd.DataFrame) -> str:
    """SHA-256 over id, label (as float32) and text of every utterance, in the order of the ids."""
    digest = hashlib.sha256()
    ordered = utterances.sort_values("id")
    labels = ordered["label"].to_numpy(np.float32).tolist()
    for row in zip(ordered["id"], labels, ordered["text"], strict=True):
        digest.update(json.dumps(row).encode())
    return f"sha256:{digest.hexdigest()}"


def content_digest(file: h5py.File) -> str:
    """SHA-256 over every dataset (name, type, shape, bytes) and attribute but this one."""
    digest = hashlib.sha256()
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in sorted(names):
        dataset = file[name]
        digest.update(f"{name} {dataset.dtype.str} {dataset.shape}".encode())
        step = max(1, (1 << 22) // max(1, int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize))
        for start in range(0, dataset.shape[0], step):
            digest.update(np.ascontiguousarray(dataset[start : start + step]).tobytes())
    for name in sorted(set(file.attrs) - {"content_digest"}):
        digest.update(f"{name}={file.attrs[name]}".encode())
    return f"sha256:{digest.hexdigest()}"


def _read_strings(group: h5py.Group, name: str) -> list[str]:
    raw, offsets = bytes(group[f"{name}_values"][()]), group[f"{name}_offsets"][()]
    return [raw[a:b].decode("utf-8") for a, b in pairwise(offsets)]
