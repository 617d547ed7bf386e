"""A store, a split, statistics or one utterance at a glance, as JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import MerDataError, StoreError, WorkspaceError
from mer_data.files.hdf5_files import open_hdf5
from mer_data.files.writing import read_json
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.statistics.vocabulary import load_kept_tokens
from mer_data.store.reader import STORE_FILE, FeatureStore
from mer_data.tasks import TASKS, get_task
from mer_data.utterances import FOLDS, NO_FOLD
from mer_data.verify.artefacts import kind_of
from mer_data.verify.findings import DAMAGE, one_line

QUANTILES = {"min": 0.0, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
_NUM_NEAREST = 3

Summary = dict[str, Any]


def summarise(path: str | Path) -> Summary:
    """Summarise a store, a split manifest, a statistics file or a vocabulary as JSON values.

    Raises:
        WorkspaceError: absent, or none of these.
        MerDataError: damaged.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise WorkspaceError(
            f"{path} {what}", expected="a store, a split manifest or statistics", do="Name one file"
        )
    kind = kind_of(path)
    if kind is None:
        raise WorkspaceError(
            f"{path} is nothing that mer-data makes", expected="a store, a split manifest or statistics"
        )
    with _one_line_if_damaged(path):
        if kind == "store":
            return summarise_store(FeatureStore.open(path))
        if kind == "split":
            return summarise_split(SplitManifest.load(path))
        if kind == "statistics":
            return summarise_statistics(ClassStatistics.load(path))
        return summarise_vocabulary(path)


@contextmanager
def _one_line_if_damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except MerDataError:
        raise
    except DAMAGE as error:
        raise StoreError(
            f"cannot be read ({one_line(error)})",
            where=path,
            do=f"See what is wrong: `mer-data verify {path}`",
        ) from error


def summarise_store(store: FeatureStore) -> Summary:
    """A store at a glance."""
    utterances = store.utterances
    seconds = (utterances["end_s"] - utterances["start_s"]).to_numpy(np.float64)
    timed = seconds[np.isfinite(seconds)]
    lengths = {"words": store.lengths("words"), "pieces": store.lengths("tokens")}
    lengths |= {modality: store.lengths(modality) for modality in store.modalities}
    with open_hdf5(store.path, STORE_FILE) as file:
        dropped = json.loads(bytes(file["dropped_json"][()]))
    columns = store.attribute("columns")
    return {
        "kind": "store",
        "dataset": store.dataset,
        "alignment": store.alignment,
        "num_utterances": len(utterances),
        "num_videos": int(utterances["video_id"].nunique()),
        "duration_s": round(float(timed.sum()), 3) if len(timed) else None,
        "tokenizer": str(store.attribute("tokenizer")),
        "vocabulary_size": len(store.tokenizer.vocabulary),
        "feature_sets": store.attribute("feature_sets"),
        "num_columns": {modality: len(columns[modality]) for modality in store.modalities},
        "frame_rate_hz": store.attribute("frame_rate_hz"),
        "limits": store.limits,
        "counts": {name: _class_counts(utterances, name) for name in TASKS},
        "lengths": {
            **{name: _quantiles(values) for name, values in lengths.items()},
            "seconds": _quantiles(timed) if len(timed) else None,
        },
        "cleaning": store.attribute("cleaning"),
        "dropped": dropped,
        "sources": store.attribute("sources"),
        "utterance_digest": store.utterance_digest,
        "content_digest": store.content_digest,
        "num_bytes": store.path.stat().st_size,
    }


def _class_counts(utterances: pd.DataFrame, task_name: str) -> dict[str, dict[str, int]]:
    """Utterances per fold and class."""
    task = get_task(task_name)
    classes = task.class_of(utterances["label"].to_numpy())
    counts = {}
    for fold in (*FOLDS, NO_FOLD):
        inside = (utterances["fold"] == fold).to_numpy()
        if inside.any() or fold != NO_FOLD:
            found = np.bincount(classes[inside], minlength=task.num_classes)
            counts[fold] = dict(zip(task.classes, found.tolist(), strict=True))
    return counts


def _quantiles(values: NDArray[Any]) -> dict[str, float]:
    """Quantiles that are values met."""
    found = np.quantile(values, list(QUANTILES.values()), method="nearest").tolist()
    return {name: round(value, 3) for name, value in zip(QUANTILES, found, strict=True)}


def summarise_split(manifest: SplitManifest) -> Summary:
    """A split manifest at a glance; the ids themselves are in the file."""
    return {
        "kind": "split",
        "dataset": manifest.dataset,
        "split_kind": manifest.kind,
        "task": manifest.task,
        "generator": manifest.generator,
        "sizes": {fold: len(ids) for fold, ids in manifest.splits.items()},
        "num_dropped": len(manifest.dropped),
        "shift": manifest.shift,
        "utterance_digest": manifest.utterance_digest,
        "digest": manifest.digest,
    }


def summarise_statistics(statistics: ClassStatistics) -> Summary:
    """Class statistics at a glance."""
    classes = get_task(statistics.task).classes
    return {
        "kind": "statistics",
        "task": statistics.task,
        "counts": dict(zip(classes, statistics.counts.tolist(), strict=True)),
        "priors": {
            name: round(float(prior), 6) for name, prior in zip(classes, statistics.priors, strict=True)
        },
        "widths": {modality: int(means.shape[1]) for modality, means in statistics.means.items()},
        "used": {modality: used.tolist() for modality, used in statistics.used.items()},
        "origin": statistics.origin,
    }


def summarise_vocabulary(path: Path) -> Summary:
    """A counterfactual vocabulary at a glance."""
    content = read_json(path)
    load_kept_tokens(path, {}, get_task(str(content.get("task"))))
    return {
        "kind": "vocabulary",
        "task": content["task"],
        "parameters": content["parameters"],
        "tokens": [str(entry["token"]) for entry in content["tokens"]],
        "origin": content["origin"],
    }


def summarise_utterance(path: str | Path, name: str) -> Summary:
    """One utterance of a store with its timed words.

    Raises:
        StoreError: not a store, or no such utterance; the message lists the nearest ids.
    """
    path = Path(path)
    with _one_line_if_damaged(path):
        return _summarise_utterance(FeatureStore.open(path), name)


def _summarise_utterance(store: FeatureStore, name: str) -> Summary:
    utterances = store.utterances
    ids = utterances["id"].tolist()
    if name not in ids:
        raise StoreError(
            f"no utterance {name!r}", where=store.path, do=f"The nearest are {', '.join(_nearest(name, ids))}"
        )
    row = ids.index(name)
    values = utterances.iloc[row]
    words = store.words(row).tolist()
    classes = {
        task.name: task.classes[int(task.class_of(np.array([values["label"]]))[0])] for task in TASKS.values()
    }
    return {
        "kind": "utterance",
        "id": name,
        "text": values["text"],
        "label": round(float(values["label"]), 6),
        "classes": classes,
        "fold": values["fold"],
        "interval_s": [_second(values["start_s"]), _second(values["end_s"])],
        "words": [{"token": w, "start_s": _second(start), "end_s": _second(end)} for w, start, end in words],
        "pieces": [store.tokenizer.vocabulary[i] for i in store.read_tokens([row]).values.tolist()],
        "num_frames": {modality: int(store.lengths(modality)[row]) for modality in store.modalities},
    }


def _nearest(name: str, ids: list[str]) -> list[str]:
    """Known ids near an unknown one: segments of its video, else similar spellings."""
    video, _, segment = name.rpartition("$_$")
    siblings = [known for known in ids if video and known.rpartition("$_$")[0] == video]
    if siblings and segment.isdecimal():
        return sorted(siblings, key=lambda known: abs(int(known.rpartition("$_$")[2]) - int(segment)))[
            :_NUM_NEAREST
        ]
    return get_close_matches(name, ids, n=_NUM_NEAREST, cutoff=0.0)


def _second(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
