"""Export to Parquet: one row per utterance, and a second file with one row per word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer_data.export.rows import fold_rows
from mer_data.files import complete_or_absent
from mer_data.splits import SplitManifest
from mer_data.store import FeatureStore
from mer_data.tasks import TASKS
from mer_data.utterances import MODALITIES, Ragged

_GROUP = 256
_TIMES = (pa.field("start_s", pa.float64()), pa.field("end_s", pa.float64()))
_WORD_SCHEMA = pa.schema(
    [pa.field("id", pa.string()), pa.field("position", pa.int32()), pa.field("word", pa.string()), *_TIMES]
)


@dataclass(frozen=True)
class ParquetExport:
    """What an export wrote.

    Attributes:
        path: one row per utterance.
        words_path: one row per word.
        sizes: utterances per fold.
        num_words: words.
    """

    path: Path
    words_path: Path
    sizes: dict[str, int]
    num_words: int


def words_path(target: Path) -> Path:
    """Where the words of the export at ``target`` go."""
    return target.with_name(f"{target.stem}.words{target.suffix}")


def export_parquet(
    store: FeatureStore,
    split: SplitManifest,
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ParquetExport:
    """Write ``store``, divided by ``split``; nothing is cut or padded. Memory holds a few hundred utterances.

    Args:
        store: features.
        split: which utterance is in which fold; dropped ones are left out.
        target: the file of utterances; the file of words stands beside it.
        progress: called with the number of utterances done and in total.

    Raises:
        SplitError: the split was made from another store.
    """
    rows = fold_rows(store, split)
    origin = {
        "dataset": store.dataset,
        "alignment": store.alignment,
        "tokenizer": str(store.attribute("tokenizer")),
        "store": store.content_digest,
        "split": split.digest,
    }
    beside = words_path(target)
    total, num_words, done = sum(map(len, rows.values())), 0, 0
    schema, word_schema = _schema(store).with_metadata(origin), _WORD_SCHEMA.with_metadata(origin)
    with (
        complete_or_absent(target) as partial,
        complete_or_absent(beside) as partial_words,
        pq.ParquetWriter(partial, schema, compression="zstd") as writer,
        pq.ParquetWriter(partial_words, word_schema, compression="zstd") as words_writer,
    ):
        for fold, chosen in _groups(rows):
            writer.write_table(_utterances(store, fold, chosen, schema))
            words = _words(store, chosen, word_schema)
            words_writer.write_table(words)
            num_words += len(words)
            done += len(chosen)
            if progress is not None:
                progress(done, total)
    return ParquetExport(target, beside, {fold: len(chosen) for fold, chosen in rows.items()}, num_words)


def _groups(rows: dict[str, NDArray[np.int64]]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    for fold, chosen in rows.items():
        for start in range(0, len(chosen), _GROUP):
            yield fold, chosen[start : start + _GROUP]


def _schema(store: FeatureStore) -> pa.Schema:
    pieces = pa.list_(pa.int32())
    fields = [pa.field(name, pa.string()) for name in ("id", "video_id")]
    fields += [pa.field("segment", pa.int64()), *_TIMES, pa.field("fold", pa.string())]
    fields += [pa.field("label", pa.float32())]
    fields += [pa.field(f"class_{name}", pa.string()) for name in TASKS]
    fields += [pa.field("text", pa.string()), pa.field("tokens", pieces), pa.field("token_words", pieces)]
    fields += [pa.field(name, pa.list_(pa.list_(pa.float32(), store.width(name)))) for name in MODALITIES]
    return pa.schema(fields)


def _utterances(store: FeatureStore, fold: str, chosen: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    frame = store.utterances.iloc[chosen]
    rows = store.read(chosen)
    labels = frame["label"].to_numpy(np.float32)
    columns: dict[str, Any] = {
        name: pa.array(frame[name].tolist(), schema.field(name).type, from_pandas=True)
        for name in ("id", "video_id", "segment", "start_s", "end_s", "text")
    }
    columns["fold"] = pa.array([fold] * len(chosen))
    columns["label"] = pa.array(labels)
    for name, task in TASKS.items():
        columns[f"class_{name}"] = pa.array([task.classes[index] for index in task.class_of(labels)])
    columns["tokens"] = _list_array(rows.token_ids, pa.array(rows.token_ids.values))
    columns["token_words"] = _list_array(rows.token_words, pa.array(rows.token_words.values))
    for name in MODALITIES:
        values = pa.array(rows.streams[name].values.ravel())
        columns[name] = _list_array(
            rows.streams[name], pa.FixedSizeListArray.from_arrays(values, store.width(name))
        )
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _list_array(rows: Ragged, values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(rows.offsets, pa.int32()), values)


def _words(store: FeatureStore, chosen: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    ids = store.utterances["id"]
    rows = [
        (ids.iloc[index], position, word["token"], word["start_s"], word["end_s"])
        for index in chosen.tolist()
        for position, word in enumerate(store.words(index))
    ]
    columns = zip(*rows, strict=True) if rows else [[]] * len(schema)
    arrays = [
        pa.array(list(column), field.type, from_pandas=True)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.table(arrays, schema=schema)
