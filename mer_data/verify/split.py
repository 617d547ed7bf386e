"""Checks on a split manifest, against the store it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mer_data.files.writing import read_json
from mer_data.splits import SplitManifest
from mer_data.splits.repartition import GENERATOR, regenerate
from mer_data.splits.settings import SearchVersionError
from mer_data.splits.shift.measure import ShiftMeter, stated_comparison
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS, Task, get_task
from mer_data.utterances import FOLDS, WORD_DTYPE
from mer_data.verify.findings import DAMAGE, Finding, Findings, one_line
from mer_data.verify.mixed import find_mixed
from mer_data.verify.shift_notes import note_shift

_ROUNDING = 2e-6  # manifests keep six decimals
_PROBE_ROUNDING = 5e-3  # a solver on another machine may turn an utterance or two


def verify_split(
    path: str | Path, stores: Sequence[FeatureStore], *, make_again: bool = False
) -> list[Finding]:
    """Every check on one split manifest.

    Args:
        path: the JSON file.
        stores: the stores of its dataset that are at hand.
        make_again: repeat the search with the recorded parameters and compare.
    """
    path = Path(path)
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
        _check_speakers(manifest, folded, findings)
        _check_mixed(folded, store, findings)
        if make_again:
            _check_generator(manifest, utterances, findings)
    return findings.found


def _ids_in_two_places(path: Path) -> list[str]:
    """Ids that occur twice in the folds and the dropped; none where the file is another mess."""
    try:
        value = read_json(path)
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
        meter = ShiftMeter(
            folded,
            TASKS[stated["task"]],
            min_count=int(stated["min_count"]),
            smoothing=float(stated["smoothing"]),
        )
        measured = meter.measure(folded["in_fold"].to_numpy(dtype=str), **stated_comparison(stated))
    except DAMAGE as error:
        findings.warning("shift", f"the stated shift cannot be measured again ({one_line(error)})")
        return
    different = [
        key
        for key in sorted({*stated, *measured})
        if not _equal(
            stated.get(key), measured.get(key), _PROBE_ROUNDING if key == "text_probe" else _ROUNDING
        )
    ]
    if different:
        findings.warning("shift", f"the stated shift is not the measured one: {', '.join(different)}")
    note_shift(measured, findings)


def _equal(stated: Any, measured: Any, rounding: float) -> bool:
    """Equality of JSON values, numbers up to their rounding."""
    if isinstance(stated, dict) and isinstance(measured, dict):
        return stated.keys() == measured.keys() and all(
            _equal(stated[key], measured[key], rounding) for key in stated
        )
    if isinstance(stated, list) and isinstance(measured, list):
        return len(stated) == len(measured) and all(
            _equal(one, other, rounding) for one, other in zip(stated, measured, strict=True)
        )
    if isinstance(stated, float) and isinstance(measured, (int, float)):
        return abs(stated - measured) <= rounding
    return bool(stated == measured)


def _check_speakers(manifest: SplitManifest, folded: pd.DataFrame, findings: Findings) -> None:
    """Videos (speakers) that test shares with training or validation; by whole videos, any two folds."""
    made_by = manifest.generator.get("made_by")  # of a published split that was applied to a store
    if any(isinstance(by, dict) and by.get("group_by") == "video" for by in (manifest.generator, made_by)):
        divided = folded.groupby("video_id")["in_fold"].transform("nunique") > 1
        if divided.any():
            findings.error(
                "speaker-leak",
                f"{folded.loc[divided, 'video_id'].nunique()} videos are in several folds, though the split"
                " was made by whole videos",
                folded.loc[divided, "id"].tolist(),
            )
            return
    in_test = (folded["in_fold"] == "test").to_numpy()
    of_test = set(folded.loc[in_test, "video_id"])
    shared = sorted(of_test & set(folded.loc[~in_test, "video_id"]))
    if not shared:
        findings.note("speakers", f"none of the {len(of_test)} test videos is in training or validation")
        return
    findings.warning(
        "speaker-overlap",
        f"{len(shared)} of {len(of_test)} test videos are in training or validation too",
        folded.loc[in_test & folded["video_id"].isin(shared).to_numpy(), "id"].tolist(),
    )


def _check_mixed(folded: pd.DataFrame, store: FeatureStore, findings: Findings) -> None:
    """No utterance of the split has words of another one."""
    row_of = {name: row for row, name in enumerate(store.utterances["id"])}
    try:
        words = [store.words(row_of[name]) for name in folded["id"]]
    except DAMAGE as error:
        findings.error("mixed-sentences", f"the words of {store.path} cannot be read ({one_line(error)})")
        return
    owners = np.repeat(np.arange(len(words)), [len(row) for row in words])
    every = np.concatenate(words) if words else np.empty(0, WORD_DTYPE)
    times = np.stack([every["start_s"], every["end_s"]], axis=1)
    found = find_mixed(folded, owners, every["token"].tolist(), times)
    ids = folded["id"].to_numpy(dtype=object)
    checked = f"{found.num_timed} utterances by word times, {len(folded) - found.num_timed} by their texts"
    if found.mixed:
        findings.error(
            "mixed-sentences", "utterances that have a word of another one", list(ids[list(found.mixed)])
        )
    elif found.suspects:
        findings.warning(
            "mixed-sentences",
            "utterances without word times that begin as the one before ends",
            list(ids[list(found.suspects)]),
        )
    else:
        findings.note("mixed-sentences", f"none ({checked})")


def _check_generator(manifest: SplitManifest, utterances: pd.DataFrame, findings: Findings) -> None:
    """The recorded parameters give the same split again, to the byte."""
    if manifest.generator.get("name") != GENERATOR:
        findings.note("make-again", f"not made by a search but by {manifest.generator.get('name')!r}")
        return
    try:
        again = regenerate(manifest, utterances, task_of(manifest))
    except SearchVersionError as error:
        findings.note("make-again", f"not compared: {one_line(error)}")
        return
    except DAMAGE as error:
        findings.error("make-again", f"cannot be made again ({one_line(error)})")
        return
    if again.digest == manifest.digest:
        findings.note("make-again", "its recorded parameters give the identical manifest")
    elif again.splits == manifest.splits:
        findings.warning("make-again", "its recorded parameters give the same folds with another report")
    else:
        findings.error("make-again", "its recorded parameters give another split")
