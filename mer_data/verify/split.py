"""Checks on a split manifest, against the store it was made from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mer_data.splits import SplitManifest
from mer_data.splits.shift import measure_shift, words_of
from mer_data.store import FeatureStore
from mer_data.tasks import TASKS, Task, get_task
from mer_data.utterances import FOLDS
from mer_data.verify.findings import DAMAGE, Finding, Findings, one_line

MIN_DUPLICATE_WORDS = 4
_ROUNDING = 2e-6  # manifests keep six decimals


def verify_split(path: Path, stores: Sequence[FeatureStore]) -> list[Finding]:
    """Every check on one split manifest.

    Args:
        path: the JSON file.
        stores: the stores of its dataset that are at hand.
    """
    findings = Findings(path)
    twice = _ids_in_two_places(path)
    if twice:
        findings.error("disjoint", "utterances in more than one place", twice)
        return findings.found
    try:
        manifest = SplitManifest.load(path)
    except DAMAGE as error:
        findings.error("loads", one_line(error))
        return findings.found
    store = _store_of(manifest, stores, findings)
    if store is None:
        return findings.found
    try:
        utterances = store.utterances
    except DAMAGE as error:
        findings.error("store", f"its store {store.path} cannot be read ({one_line(error)})")
        return findings.found
    if _check_ids(manifest, utterances, store, findings):
        folded = _with_folds(manifest, utterances)
        _note_sizes(manifest, folded, findings)
        _check_shift(manifest, folded, findings)
        _note_overlap(folded, findings)
    return findings.found


def _ids_in_two_places(path: Path) -> list[str]:
    """Ids that occur twice in the folds and the dropped; none where the file is another mess."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        ids = [str(name) for fold in value["splits"].values() for name in fold]
        ids += [str(entry["id"]) for entry in value["dropped"]]
    except DAMAGE:
        return []
    return sorted(name for name, count in Counter(ids).items() if count > 1)


def _store_of(
    manifest: SplitManifest, stores: Sequence[FeatureStore], findings: Findings
) -> FeatureStore | None:
    """The store with the manifest's digest; where there is none, say how far the others are from it."""
    fitting = [store for store in stores if store.utterance_digest == manifest.utterance_digest]
    if fitting:
        return fitting[0]
    if not stores:
        findings.error("store-digest", f"belongs to no store present ({manifest.utterance_digest})")
        return None
    found = ", ".join(sorted({store.utterance_digest for store in stores}))
    findings.error(
        "store-digest", f"made from a store {manifest.utterance_digest}, the stores here are {found}"
    )
    return stores[0]


def _check_ids(
    manifest: SplitManifest, utterances: pd.DataFrame, store: FeatureStore, findings: Findings
) -> bool:
    """Whether every id is in the store; utterances of the store that the manifest forgot are a warning."""
    present = set(utterances["id"])
    named = {name for fold in FOLDS for name in manifest.splits[fold]}
    absent = sorted(named - present)
    if absent:
        findings.error("ids-present", f"utterances that are not in {store.path}", absent)
    forgotten = sorted(present - named - {drop.id for drop in manifest.dropped})
    if forgotten:
        findings.warning("coverage", "utterances of the store in no fold and not dropped", forgotten)
    if store.dataset != manifest.dataset:
        findings.warning("dataset", f"says dataset {manifest.dataset!r}, the store says {store.dataset!r}")
    return not absent


def _with_folds(manifest: SplitManifest, utterances: pd.DataFrame) -> pd.DataFrame:
    """The utterances of the split in the store's order, with the column ``in_fold``."""
    fold_of = {name: fold for fold in FOLDS for name in manifest.splits[fold]}
    in_fold = utterances["id"].map(fold_of)
    return utterances.assign(in_fold=in_fold)[in_fold.notna()].reset_index(drop=True)


def task_of(manifest: SplitManifest) -> Task:
    """The task of a split; one made for any task is measured with the binary one."""
    return get_task("binary" if manifest.task == "any" else manifest.task)


def _note_sizes(manifest: SplitManifest, folded: pd.DataFrame, findings: Findings) -> None:
    """Sizes and class shares of every fold."""
    task = task_of(manifest)
    sizes = [f"{fold} {len(manifest.splits[fold])}" for fold in FOLDS]
    findings.note("sizes", f"{', '.join(sizes)}, dropped {len(manifest.dropped)}")
    for fold in FOLDS:
        labels = folded.loc[folded["in_fold"] == fold, "label"].to_numpy()
        counts = np.bincount(task.class_of(labels), minlength=task.num_classes)
        if not len(labels):
            continue
        shares = [
            f"{name} {share:.1%}" for name, share in zip(task.classes, counts / len(labels), strict=True)
        ]
        findings.note("class-shares", f"{fold}: {', '.join(shares)}")
        absent = [name for name, count in zip(task.classes, counts, strict=True) if not count]
        if absent:
            findings.warning("class-absent", f"{fold} has no utterance of class {', '.join(absent)}")


def _check_shift(manifest: SplitManifest, folded: pd.DataFrame, findings: Findings) -> None:
    """The shift that the manifest states is the one that the store gives."""
    stated = manifest.shift
    if manifest.kind == "cross_dataset" or not {"task", "min_count", "smoothing"} <= set(stated):
        return
    try:
        measured = measure_shift(
            folded,
            folded["in_fold"].to_numpy(dtype=str),
            TASKS[stated["task"]],
            min_count=int(stated["min_count"]),
            smoothing=float(stated["smoothing"]),
        )
    except DAMAGE as error:
        findings.warning("shift", f"the stated shift cannot be measured again ({one_line(error)})")
        return
    different = [key for key, value in stated.items() if not _equal(value, measured.get(key))]
    if different:
        findings.warning("shift", f"the stated shift is not the measured one: {', '.join(different)}")


def _equal(stated: Any, measured: Any) -> bool:
    """Equality of JSON values, numbers up to their rounding."""
    if isinstance(stated, dict) and isinstance(measured, dict):
        return stated.keys() == measured.keys() and all(_equal(stated[k], measured[k]) for k in stated)
    if isinstance(stated, list) and isinstance(measured, list):
        return len(stated) == len(measured) and all(map(_equal, stated, measured))
    if isinstance(stated, float) and isinstance(measured, (int, float)):
        return abs(stated - measured) <= _ROUNDING
    return bool(stated == measured)


def _note_overlap(folded: pd.DataFrame, findings: Findings) -> None:
    """Speakers and texts that test shares with training or validation."""
    in_test = (folded["in_fold"] == "test").to_numpy()
    of_test = set(folded.loc[in_test, "video_id"])
    shared = of_test & set(folded.loc[~in_test, "video_id"])
    if shared:
        findings.note(
            "speaker-overlap",
            f"{len(shared)} of {len(of_test)} test videos are in training or validation too",
        )
    words = [words_of(text) for text in folded["text"]]
    texts = np.array(
        [" ".join(row) if len(row) >= MIN_DUPLICATE_WORDS else "" for row in words], dtype=object
    )
    known = set(texts[~in_test]) - {""}
    again = [
        name for name, text in zip(folded.loc[in_test, "id"], texts[in_test], strict=True) if text in known
    ]
    if again:
        findings.note("near-duplicates", "test utterances whose text is in training or validation too", again)
