"""Checks on class statistics and counterfactual vocabularies, against their store and split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import FEATURES, ClassStatistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary, load_kept_tokens
from mer_data.store import FeatureStore
from mer_data.tasks import Task, get_task
from mer_data.utterances import MODALITIES
from mer_data.verify.findings import DAMAGE, Finding, Findings, one_line

Splits = Mapping[Path, SplitManifest]


def verify_statistics(path: Path, stores: Sequence[FeatureStore], splits: Splits) -> list[Finding]:
    """Every check on one file of class statistics.

    Args:
        path: the HDF5 file.
        stores: the stores of its dataset that are at hand.
        splits: the split manifests at hand, by path.
    """
    findings = Findings(path)
    try:
        statistics = ClassStatistics.load(path)
        task = get_task(statistics.task)
        with h5py.File(path, "r") as file:
            priors, classes = file["priors"][()], [str(name) for name in file.attrs["classes"]]
    except DAMAGE as error:
        findings.error("loads", one_line(error))
        return findings.found
    if classes != list(task.classes):
        findings.error("classes", f"classes {', '.join(classes)}, expected {', '.join(task.classes)}")
    sound = _check_numbers(statistics, np.asarray(priors), task, findings)
    store = _store_of({"store_content": "content_digest"}, statistics.origin, stores, findings)
    split = _split_of(statistics.origin, path, statistics.task, splits, findings)
    if sound and store is not None:
        try:
            _check_against_store(statistics, store, split, task, findings)
        except DAMAGE as error:
            findings.error("compare", f"cannot be compared with {store.path} ({one_line(error)})")
    return findings.found


def _check_numbers(
    statistics: ClassStatistics, priors: NDArray[np.float64], task: Task, findings: Findings
) -> bool:
    """Whether counts, priors and means have the right shapes and possible values."""
    before, size = len(findings.found), (task.num_classes,)
    counts = statistics.counts
    if counts.shape != size or counts.dtype.kind != "i" or (counts < 0).any() or counts.sum() == 0:
        findings.error("counts", f"impossible counts {counts.tolist()} of {task.num_classes} classes")
        return False
    if priors.shape != size or not np.allclose(priors, statistics.priors, rtol=0, atol=1e-12):
        findings.error(
            "priors", f"priors {priors.tolist()} are not the shares of the counts {counts.tolist()}"
        )
    for modality in FEATURES:
        means, used = statistics.means[modality], statistics.used[modality]
        if means.ndim != 2 or means.shape[:1] != size or not np.isfinite(means).all():
            findings.error("means", f"{modality}: means are not finite numbers of {task.num_classes} classes")
        if used.shape != size or (used < 0).any() or (used > counts).any():
            findings.error("used", f"{modality}: used {used.tolist()} of counts {counts.tolist()}")
    return len(findings.found) == before


def _check_against_store(
    statistics: ClassStatistics,
    store: FeatureStore,
    split: SplitManifest | None,
    task: Task,
    findings: Findings,
) -> None:
    """Widths are the store's; counts are those of the training fold."""
    for modality in MODALITIES:
        found, expected = statistics.means[modality].shape[1], store.width(modality)
        if found != expected:
            findings.error("widths", f"{modality}: {found} columns, the store has {expected}")
    if split is None:
        return
    rows = split.indices(store.utterances["id"])["train"]
    classes = task.class_of(store.utterances["label"].to_numpy()[rows])
    counts = np.bincount(classes, minlength=task.num_classes)
    if not np.array_equal(counts, statistics.counts):
        findings.error(
            "counts", f"counts {statistics.counts.tolist()}, the training fold has {counts.tolist()}"
        )
        return
    for modality in MODALITIES:
        some = store.lengths(modality)[rows] > 0
        expected_used = np.bincount(classes[some], minlength=task.num_classes)
        if not np.array_equal(expected_used, statistics.used[modality]):
            findings.error(
                "used",
                f"{modality}: used {statistics.used[modality].tolist()}, rows with frames are"
                f" {expected_used.tolist()}",
            )


def verify_vocabulary(path: Path, stores: Sequence[FeatureStore], splits: Splits) -> list[Finding]:
    """Every check on one counterfactual vocabulary and the CSV beside it.

    Args:
        path: the JSON file.
        stores: the stores of its dataset that are at hand.
        splits: the split manifests at hand, by path.
    """
    findings = Findings(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        task = get_task(content["task"])
        kept = load_kept_tokens(path, {}, task).tolist()
        origin = dict(content["origin"])
    except DAMAGE as error:
        findings.error("loads", one_line(error))
        return findings.found
    if len(set(kept)) != len(kept):
        findings.error("tokens", "token ids that stand twice")
    _check_csv(path.with_suffix(".csv"), kept, findings)
    names = {"utterances": "utterance_digest", "tokenizer_vocabulary": "vocabulary_digest"}
    store = _store_of(names, origin, stores, findings)
    split = _split_of(origin, path, task.name, splits, findings)
    if store is not None:
        try:
            _check_tokens(content, store, split, task, findings)
        except DAMAGE as error:
            findings.error("compare", f"cannot be compared with {store.path} ({one_line(error)})")
    return findings.found


def _check_csv(path: Path, kept: list[int], findings: Findings) -> None:
    """The CSV for people keeps the same tokens as the JSON for programs."""
    if not path.is_file():
        findings.warning("csv", f"no {path.name} beside it")
        return
    try:
        table = pd.read_csv(path, usecols=["token_id", "rank", "kept"])
        in_table = table[table["kept"].astype(bool)].sort_values("rank")["token_id"].astype(int).tolist()
    except DAMAGE as error:
        findings.error("csv", f"{path.name} cannot be read ({one_line(error)})")
        return
    if in_table != kept:
        findings.error("csv", f"{path.name} keeps other tokens than the JSON")


def _check_tokens(
    content: dict[str, Any], store: FeatureStore, split: SplitManifest | None, task: Task, findings: Findings
) -> None:
    """Every token is the store's, and counting again keeps the same tokens."""
    vocabulary = store.word_pieces.vocabulary
    stated = [
        (int(entry["token_id"]), str(entry["token"]), int(entry["total"])) for entry in content["tokens"]
    ]
    foreign = [f"{index} {token!r}" for index, token, _ in stated if not _is_token(index, token, vocabulary)]
    if foreign:
        findings.error(
            "tokens", f"tokens that the store's vocabulary does not have: {', '.join(foreign[:3])}"
        )
    if split is None:
        return
    parameters = content["parameters"]
    again = counterfactual_vocabulary(
        store,
        split,
        task,
        min_variation=float(parameters["min_variation"]),
        size=int(parameters["size"]),
        all_classes="neutral" in parameters["classes_used"],
    )
    table = again.table[again.table["kept"]].sort_values("rank")
    counted = list(zip(table["token_id"].tolist(), table["total"].tolist(), strict=True))
    if counted != [(index, total) for index, _, total in stated]:
        findings.error("counts", "counting the words of the training fold again keeps other tokens")


def _is_token(index: int, token: str, vocabulary: list[str]) -> bool:
    return 0 <= index < len(vocabulary) and vocabulary[index] == token


def _store_of(
    names: dict[str, str], origin: dict[str, str], stores: Sequence[FeatureStore], findings: Findings
) -> FeatureStore | None:
    """The store whose attributes are the digests in ``origin``; none is an error."""
    for store in stores:
        if all(origin.get(name) == store.attribute(attribute) for name, attribute in names.items()):
            return store
    wanted = ", ".join(f"{name} {origin.get(name)}" for name in names)
    findings.error("store-digest", f"belongs to no store present: computed from {wanted}")
    return None


def _split_of(
    origin: dict[str, str], path: Path, task: str, splits: Splits, findings: Findings
) -> SplitManifest | None:
    """The split with the digest in ``origin``; one of that name with another digest is an error."""
    wanted = origin.get("split")
    for split in splits.values():
        if split.digest == wanted:
            return split
    namesakes = [known for known in splits if f".{known.stem}.{task}." in path.name]
    if namesakes or wanted is None:
        where = namesakes[0] if namesakes else "any split"
        findings.error("split-digest", f"computed from split {wanted}, which is not {where} as it is now")
    else:
        findings.warning("split-digest", f"its split {wanted} is not in the workspace")
    return None
