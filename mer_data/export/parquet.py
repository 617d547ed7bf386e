"""Export to Parquet: one row per utterance, and a second file with one row per word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mer_data.export.arrow import UTTERANCE_TYPES, WORD_TYPES, utterance_arrays, word_arrays
from mer_data.export.rows import fold_rows, in_groups
from mer_data.files.writing import complete_or_absent
from mer_data.progress import Progress
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS

WORD_SCHEMA = pa.schema({"id": pa.string(), "position": pa.int32(), **WORD_TYPES})


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
    target: str | Path,
    *,
    progress: Progress | None = None,
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
    target = Path(target)
    rows = fold_rows(store, split)
    beside, origin = words_path(target), _origin(store, split)
    total, num_words, done = sum(map(len, rows.values())), 0, 0
    schema, word_schema = utterance_schema(store).with_metadata(origin), WORD_SCHEMA.with_metadata(origin)
    with (
        complete_or_absent(target) as partial,
        complete_or_absent(beside) as partial_words,
        pq.ParquetWriter(partial, schema, compression="zstd") as writer,
        pq.ParquetWriter(partial_words, word_schema, compression="zstd") as words_writer,
    ):
        for fold, chosen in ((fold, group) for fold, of_fold in rows.items() for group in in_groups(of_fold)):
            writer.write_table(_utterances(store, fold, chosen, schema))
            words = _words(store, chosen, word_schema)
            words_writer.write_table(words)
            num_words += len(words)
            done += len(chosen)
            if progress is not None:
                progress(done, total)
    return ParquetExport(target, beside, {fold: len(chosen) for fold, chosen in rows.items()}, num_words)


def written_export(store: FeatureStore, split: SplitManifest, target: Path) -> ParquetExport | None:
    """What ``export_parquet`` wrote at ``target`` before, if both files are of this store and split."""
    rows = fold_rows(store, split)
    total, beside = sum(map(len, rows.values())), words_path(target)
    if not (target.is_file() and beside.is_file()):
        return None
    try:
        found, words = pq.read_metadata(target), pq.read_metadata(beside)
    except pa.ArrowInvalid:
        return None
    wanted = {key.encode(): value.encode() for key, value in _origin(store, split).items()}
    ours = all(wanted.items() <= (file.metadata or {}).items() for file in (found, words))
    if not ours or found.num_rows != total:
        return None
    return ParquetExport(target, beside, {fold: len(rows[fold]) for fold in rows}, words.num_rows)


def utterance_schema(store: FeatureStore) -> pa.Schema:
    """The columns of the file of utterances."""
    types = dict(UTTERANCE_TYPES)
    label, text = types.pop("label"), types.pop("text")
    pieces = pa.list_(pa.int32())
    return pa.schema(
        {
            **types,
            "fold": pa.string(),
            "label": label,
            **{f"class_{name}": pa.string() for name in TASKS},
            "text": text,
            "tokens": pieces,
            "token_words": pieces,
            **{name: pa.list_(pa.list_(pa.float32(), store.width(name))) for name in store.modalities},
        }
    )


def _origin(store: FeatureStore, split: SplitManifest) -> dict[str, str]:
    """What the schemas say of where the rows come from."""
    return {
        "dataset": store.dataset,
        "alignment": store.alignment,
        "tokenizer": str(store.attribute("tokenizer")),
        "store": store.content_digest,
        "split": split.digest,
    }


def _utterances(store: FeatureStore, fold: str, chosen: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    columns = {**utterance_arrays(store, chosen), "fold": pa.array([fold] * len(chosen))}
    labels = store.utterances["label"].to_numpy(np.float32)[chosen]
    for name, task in TASKS.items():
        columns[f"class_{name}"] = pa.array([task.classes[index] for index in task.class_of(labels)])
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _words(store: FeatureStore, chosen: NDArray[np.int64], schema: pa.Schema) -> pa.Table:
    lengths, columns = word_arrays(store, chosen)
    ids = np.repeat(store.utterances["id"].to_numpy(dtype=object)[chosen], lengths)
    positions = np.concatenate([np.arange(length, dtype=np.int32) for length in [*lengths.tolist(), 0]])
    return pa.table([pa.array(ids, pa.string()), pa.array(positions), *columns], schema=schema)
