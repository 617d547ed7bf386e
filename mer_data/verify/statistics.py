"""Checks on class statistics and counterfactual vocabularies, against their store and split."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import MerDataError, StatisticsError
from mer_data.files.hdf5_faults import FileKind
from mer_data.files.hdf5_files import open_hdf5
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import ClassStatistics, class_statistics
from mer_data.statistics.vocabulary import (
    CounterfactualVocabulary,
    counterfactual_vocabulary,
    load_kept_tokens,
    load_vocabulary,
)
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task, get_task
from mer_data.utterances import FRAME_MODALITIES, MODALITIES
from mer_data.verify.findings import DAMAGE, Finding, Findings, one_line

Splits = Mapping[Path, SplitManifest]


_MEANS_TOLERANCE = 1e-3
"""Of the largest mean: what other processors and libraries may change in the last digits is far below."""


def verify_statistics(
    path: str | Path, stores: Sequence[FeatureStore], splits: Splits, *, make_again: bool = False
) -> list[Finding]:
    """Every check on one file of class statistics.

    Args:
        path: the HDF5 file.
        stores: the stores of its dataset that are at hand.
        splits: the split manifests at hand, by path.
        make_again: compute everything again and compare; needs torch and the text encoder.
    """
    path = Path(path)
    findings = Findings(path)
    try:
        statistics = ClassStatistics.load(path)
        task = get_task(statistics.task)
        with open_hdf5(path, FileKind("the file with the class statistics", StatisticsError, "")) as file:
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
            if make_again and split is not None:
                _compute_again(statistics, store, split, task, findings)
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
    for modality in MODALITIES:
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
    for modality in FRAME_MODALITIES:
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
    for modality in FRAME_MODALITIES:
        some = store.lengths(modality)[rows] > 0
        expected_used = np.bincount(classes[some], minlength=task.num_classes)
        if not np.array_equal(expected_used, statistics.used[modality]):
            findings.error(
                "used",
                f"{modality}: used {statistics.used[modality].tolist()}, rows with frames are"
                f" {expected_used.tolist()}",
            )


def _compute_again(
    statistics: ClassStatistics, store: FeatureStore, split: SplitManifest, task: Task, findings: Findings
) -> None:
    """Computing the statistics again from store, split and text encoder gives the same ones."""
    name = statistics.origin["text_encoder"]
    try:
        from mer_data.text.encoder import load_text_encoder

        encoder = load_text_encoder(name, store.tokenizer)
    except (ImportError, MerDataError) as error:
        findings.note("made-again", f"not computed again: no text encoder {name} ({one_line(error)})")
        return
    if encoder.weights_digest() != statistics.origin.get("text_encoder_weights"):
        findings.warning("made-again", f"not computed again: the text encoder {name} has other weights now")
        return
    again = class_statistics(store, split, task, encoder)
    for modality in MODALITIES:
        found, expected = statistics.means[modality], again.means[modality]
        allowed = _MEANS_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
        if found.shape != expected.shape or np.abs(found - expected).max(initial=0) > allowed:
            findings.error("made-again", f"{modality}: computing them again gives other means")
        if not np.array_equal(statistics.used[modality], again.used[modality]):
            findings.error(
                "made-again",
                f"{modality}: used {statistics.used[modality].tolist()},"
                f" computing them again gives {again.used[modality].tolist()}",
            )


def verify_vocabulary(path: str | Path, stores: Sequence[FeatureStore], splits: Splits) -> list[Finding]:
    """Every check on one counterfactual vocabulary and the CSV next to it.

    Args:
        path: the JSON file.
        stores: the stores of its dataset that are at hand.
        splits: the split manifests at hand, by path.
    """
    path = Path(path)
    findings = Findings(path)
    try:
        content = load_vocabulary(path)
        task = get_task(content["task"])
        kept = load_kept_tokens(path, {}, task).tolist()
        origin = dict(content["origin"])
    except DAMAGE as error:
        findings.error("loads", one_line(error))
        return findings.found
    if len(set(kept)) != len(kept):
        findings.error("tokens", "token ids that stand twice")
    if not path.with_suffix(".csv").is_file():
        findings.warning("csv", f"no {path.with_suffix('.csv').name} beside it")
    names = {"utterances": "utterance_digest", "tokenizer_vocabulary": "vocabulary_digest"}
    store = _store_of(names, origin, stores, findings)
    split = _split_of(origin, path, task.name, splits, findings)
    if store is not None:
        try:
            _check_tokens(content, store, findings)
            if split is not None:
                _count_again(path.with_suffix(".csv"), content, store, split, task, findings)
        except DAMAGE as error:
            findings.error("compare", f"cannot be compared with {store.path} ({one_line(error)})")
    return findings.found


def _check_tokens(content: dict[str, Any], store: FeatureStore, findings: Findings) -> None:
    """Every token is the store's."""
    vocabulary = store.tokenizer.vocabulary
    stated = [(int(entry["token_id"]), str(entry["token"])) for entry in content["tokens"]]
    foreign = [f"{index} {token!r}" for index, token in stated if not _is_token(index, token, vocabulary)]
    if foreign:
        findings.error(
            "tokens", f"tokens that the store's vocabulary does not have: {', '.join(foreign[:3])}"
        )


def _count_again(
    table: Path,
    content: dict[str, Any],
    store: FeatureStore,
    split: SplitManifest,
    task: Task,
    findings: Findings,
) -> None:
    """Counting the words of the training fold again gives the same tokens, parameters and table."""
    parameters = content["parameters"]
    again = counterfactual_vocabulary(
        store,
        split,
        task,
        min_variation=float(parameters["min_variation"]),
        size=int(parameters["size"]),
        all_classes="neutral" in parameters["classes_used"],
    )
    if parameters != again.parameters:
        findings.error("parameters", f"parameters {parameters}, expected {again.parameters}")
    stated = [(token["token_id"], token["total"]) for token in content["tokens"]]
    if stated != [(token["token_id"], token["total"]) for token in again.kept_tokens]:
        findings.error("counts", "counting the words of the training fold again keeps other tokens")
    elif not _are_close([t["cv"] for t in content["tokens"]], [t["cv"] for t in again.kept_tokens]):
        findings.error("counts", "counting the words of the training fold again gives other variations")
    if table.is_file() and (differ := _differing_columns(table, again)):
        findings.error("csv", f"{table.name}: counting again gives other values of {', '.join(differ)}")


def _differing_columns(path: Path, again: CounterfactualVocabulary) -> list[str]:
    """Columns of a CSV that are not as they would be written now."""
    saved = pd.read_csv(path, dtype=str, keep_default_na=False)
    fresh = pd.read_csv(io.StringIO(again.to_csv()), dtype=str, keep_default_na=False)
    if list(saved) != list(fresh) or len(saved) != len(fresh):
        return ["all columns"]
    differ = [name for name in map(str, fresh) if name != "cv" and not saved[name].equals(fresh[name])]
    variations = (pd.to_numeric(table["cv"], errors="coerce").tolist() for table in (saved, fresh))
    return differ if _are_close(*variations) else [*differ, "cv"]


def _are_close(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether variations are equal but for the last digit that is written."""
    return bool(np.allclose(found, expected, rtol=0, atol=2e-6, equal_nan=True))


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
