"""Rows of a store as Arrow arrays, nothing cut or padded; unknown times are null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mer_data.store.reader import FeatureStore
from mer_data.utterances import Ragged

UTTERANCE_TYPES: dict[str, pa.DataType] = {
    "id": pa.string(),
    "video_id": pa.string(),
    "segment": pa.int64(),
    "start_s": pa.float64(),
    "end_s": pa.float64(),
    "label": pa.float32(),
    "text": pa.string(),
}
WORD_TYPES: dict[str, pa.DataType] = {"word": pa.string(), "start_s": pa.float64(), "end_s": pa.float64()}


def utterance_arrays(store: FeatureStore, chosen: NDArray[np.int64]) -> dict[str, pa.Array]:
    """The columns ``UTTERANCE_TYPES`` of rows (N,), and as lists "tokens", "token_words" and the modalities.

    A stream is a list of frames, a frame a list of fixed size d.
    """
    frame, rows = store.utterances.iloc[chosen], store.read(chosen)
    arrays = {
        name: pa.array(frame[name].tolist(), kind, from_pandas=True) for name, kind in UTTERANCE_TYPES.items()
    }
    arrays["tokens"] = list_array(rows.token_ids, pa.array(rows.token_ids.values))
    arrays["token_words"] = list_array(rows.token_words, pa.array(rows.token_words.values))
    for name in store.modalities:
        values = pa.array(rows.streams[name].values.ravel())
        frames = pa.FixedSizeListArray.from_arrays(values, store.width(name))
        arrays[name] = list_array(rows.streams[name], frames)
    return arrays


def list_array(rows: Ragged, values: pa.Array) -> pa.ListArray:
    """Lists of ``values`` with the lengths of ``rows``."""
    return pa.ListArray.from_arrays(pa.array(rows.offsets, pa.int32()), values)


def word_arrays(store: FeatureStore, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[pa.Array]]:
    """Number of words of every row (N,), and the columns ``WORD_TYPES`` of all these words."""
    words = [store.words(index) for index in chosen.tolist()]
    columns: dict[str, list[Any]] = {
        name: [value for row in words for value in row[field].tolist()]
        for name, field in zip(WORD_TYPES, ("token", "start_s", "end_s"), strict=True)
    }
    lengths = np.array([len(row) for row in words], dtype=np.int64)
    return lengths, [pa.array(columns[name], kind, from_pandas=True) for name, kind in WORD_TYPES.items()]
