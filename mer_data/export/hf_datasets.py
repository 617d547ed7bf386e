"""Export to a folder that ``datasets.load_from_disk`` (Hugging Face) reads, one split per fold."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mer_data.errors import ExportError
from mer_data.export.arrow import UTTERANCE_TYPES, WORD_TYPES, utterance_arrays, word_arrays
from mer_data.export.card import write_card
from mer_data.export.facts import Facts
from mer_data.export.folders import complete_folder_or_absent
from mer_data.export.rows import fold_rows, in_groups
from mer_data.progress import Progress
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS

if TYPE_CHECKING:
    from datasets import DatasetDict, Features

SPLIT_NAMES = {"train": "train", "valid": "validation", "test": "test"}
"""The names that the field of ``datasets`` gives to the folds."""
CARD_NAME = "README.md"

_DATASET_DICT = "dataset_dict.json"
_SCRATCH = "scratch"


@dataclass(frozen=True)
class DatasetsExport:
    """What an export wrote.

    Attributes:
        path: the folder.
        sizes: utterances per fold; an empty fold has no split in the folder.
        num_words: words.
    """

    path: Path
    sizes: dict[str, int]
    num_words: int


def check_target(target: Path) -> None:
    """Refuse to replace a folder that no export wrote.

    Raises:
        ExportError: a file, or a folder with other content.
    """
    if not target.exists() or (target / _DATASET_DICT).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise ExportError(
            f"{target} is no folder of datasets and is not replaced", do="Name another folder with --out"
        )


def import_datasets() -> ModuleType:
    """The package ``datasets``.

    Raises:
        ExportError: it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise ExportError(
            "the package 'datasets' is not installed", do="Run `pip install 'mer-data[datasets]'`"
        ) from error
    return datasets


def export_datasets(
    store: FeatureStore,
    split: SplitManifest,
    target: str | Path,
    facts: Facts,
    *,
    progress: Progress | None = None,
) -> DatasetsExport:
    """Write ``store``, divided by ``split``; nothing is cut or padded.

    The rows stream to a scratch file, which ``datasets`` maps and saves in its own layout: for a moment the
    disk holds the rows twice, the memory at most a thousand of them. The folder appears, with its card, when
    complete; equal input gives equal bytes.

    Args:
        store: features.
        split: which utterance is in which fold; dropped ones are left out.
        target: the folder; one that an export wrote is replaced.
        facts: of the same store and split, for the card.
        progress: called with the number of utterances done and in total.

    Raises:
        ExportError: ``datasets`` is not installed, ``target`` is something else, or no fold has utterances.
        SplitError: the split was made from another store.
    """
    target = Path(target)
    hf = import_datasets()
    check_target(target)
    rows = fold_rows(store, split)
    filled = {fold: chosen for fold, chosen in rows.items() if len(chosen)}
    if not filled:
        raise ExportError("no fold has an utterance", expected="utterances in train, valid or test")
    every = np.concatenate(list(rows.values()))
    features, done = _features(hf, store), 0
    with complete_folder_or_absent(target) as partial, _quiet(hf):
        scratch = partial / _SCRATCH
        scratch.mkdir()
        for fold, chosen in filled.items():
            with hf.arrow_writer.ArrowWriter(path=str(scratch / fold), features=features) as writer:
                for group in in_groups(chosen):
                    writer.write_table(_table(store, group, list(features)))
                    done += len(group)
                    if progress is not None:
                        progress(done, len(every))
                writer.finalize()
        _mapped(hf, scratch, list(filled), features, facts).save_to_disk(str(partial))
        shutil.rmtree(scratch)
        write_card(facts, partial / CARD_NAME)
    num_words = int(store.lengths("words")[every].sum())
    return DatasetsExport(target, {fold: len(chosen) for fold, chosen in rows.items()}, num_words)


@contextmanager
def _quiet(hf: ModuleType) -> Iterator[None]:
    """No progress bars of ``datasets``: ours count both steps."""
    shown = not hf.are_progress_bars_disabled()
    hf.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            hf.enable_progress_bars()


def _features(hf: ModuleType, store: FeatureStore) -> Features:
    """Types of the columns; the frames of a stream are an array (T, d), also where T is 0."""
    pieces = pa.list_(pa.int32())
    plain = {"words": pa.list_(pa.struct(WORD_TYPES)), "tokens": pieces, "token_words": pieces}
    columns = hf.Features.from_arrow_schema(pa.schema({**UTTERANCE_TYPES, **plain}))
    columns |= {f"class_{task.name}": hf.ClassLabel(names=list(task.classes)) for task in TASKS.values()}
    frames = {name: hf.Array2D((None, store.width(name)), "float32") for name in store.modalities}
    last = ("text", *plain)
    order = [name for name in columns if name not in last]
    return hf.Features({**{name: columns[name] for name in (*order, *last)}, **frames})


def _table(store: FeatureStore, chosen: NDArray[np.int64], names: list[str]) -> pa.Table:
    """Rows (N,) as plain columns, which the writer of ``datasets`` casts to its types."""
    columns: dict[str, Any] = utterance_arrays(store, chosen)
    labels = store.utterances["label"].to_numpy(np.float32)[chosen]
    for task in TASKS.values():
        columns[f"class_{task.name}"] = pa.array(task.class_of(labels))
    lengths, words = word_arrays(store, chosen)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    columns["words"] = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(words, list(WORD_TYPES)))
    return pa.table([columns[name] for name in names], names)


def _mapped(hf: ModuleType, scratch: Path, folds: list[str], features: Features, facts: Facts) -> DatasetDict:
    """The scratch files as splits that stay on the disk."""
    corpus, parts = facts.corpus, {}
    info = hf.DatasetInfo(
        description=f"{corpus.title}: store {facts.store_name}, split {facts.split_name}. {corpus.terms}",
        citation=corpus.citation,
        homepage=corpus.page or "",
        license=corpus.licence,
        features=features,
    )
    for fold in folds:
        name = SPLIT_NAMES[fold]
        origin = f"{facts.store['content_digest']} {facts.split.digest} {fold}"
        parts[name] = hf.Dataset(
            hf.Dataset.from_file(str(scratch / fold)).data,
            info=info.copy(),
            split=hf.NamedSplit(name),
            fingerprint=hashlib.sha256(origin.encode()).hexdigest()[:16],
        )
    return hf.DatasetDict(parts)
