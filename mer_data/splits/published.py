"""Published split manifests: found by name, applied to any store of their corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from mer_data.errors import SplitError, did_you_mean
from mer_data.files.resources import resource_folder
from mer_data.splits.defaults import default_of
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.settings import RepartitionSettings
from mer_data.splits.shift.divergence import MIN_COUNT, SMOOTHING
from mer_data.splits.shift.measure import ShiftMeter, stated_comparison
from mer_data.tasks import Task, get_task
from mer_data.utterances import FOLDS, DroppedUtterance

APPLIED = "applied"
NOT_IN_STORE = "not in the store"
NOT_IN_MANIFEST = "not in the published manifest"


def split_name(dataset: str, task: Task, settings: RepartitionSettings, severity: float | None) -> str:
    """File name of a split: task, what moves, where validation comes from, severity and seed.

    Args:
        dataset: name of the corpus, whose defaults are not named.
        task: of the split.
        settings: its parameters.
        severity: named where it was chosen; None for the default.
    """
    parts = ["ood", task.name]
    group_by = settings.group_by_for(dataset, task)
    if group_by != default_of(dataset, task.name).group_by:
        parts.append(group_by)
    if settings.keep_valid == "ood":
        parts.append("oodvalid")
    if severity is not None:
        parts.append(f"severity{severity:.4f}".rstrip("0").rstrip("."))
    return "_".join([*parts, f"seed{settings.seed}"])


def published_folder(dataset: str) -> Path:
    """Where the published manifests of a corpus lie."""
    return resource_folder(Path(__file__).resolve().parents[1], "manifests") / "splits" / dataset


def published_names(dataset: str) -> list[str]:
    """Names of the published manifests of a corpus."""
    return sorted(path.stem for path in published_folder(dataset).glob("*.json"))


def load_published(dataset: str, name: str) -> SplitManifest:
    """The manifest published under ``name``, or the one in the file ``name``.

    Raises:
        SplitError: there is none, or it is of another corpus.
    """
    is_path = name.endswith(".json")
    path = Path(name) if is_path else published_folder(dataset) / f"{name}.json"
    if not path.is_file():
        names = published_names(dataset)
        known = ", ".join(names) or "none"
        if is_path:
            raise SplitError(f"no split manifest {name}", do=f"Published ones of {dataset}: {known}")
        raise SplitError(
            f"no published split {name!r} of {dataset}",
            found=known,
            do=did_you_mean(name, names) or "Name one of these, or the path of a manifest (*.json)",
        )
    manifest = SplitManifest.load(path)
    if manifest.dataset != dataset:
        raise SplitError(
            "the manifest is of another corpus", where=path, found=manifest.dataset, expected=dataset
        )
    return manifest


def apply_manifest(
    manifest: SplitManifest, utterances: pd.DataFrame, *, utterance_digest: str
) -> SplitManifest:
    """A manifest for a store other than the one it was made from; for its own store the same one.

    Utterances that one of the two lacks are dropped, with the reason, and the shift is measured anew.

    Args:
        manifest: made from another store of the corpus.
        utterances: the frame of the store.
        utterance_digest: its digest.

    Raises:
        SplitError: a fold has no utterance in the store.
    """
    if utterance_digest == manifest.utterance_digest:
        return manifest
    fold_of = {name: fold for fold in FOLDS for name in manifest.splits[fold]}
    present = utterances["id"].isin(list(fold_of))
    for fold in FOLDS:
        if not set(manifest.splits[fold]) & set(utterances["id"]):
            raise SplitError(
                f'the store has no utterance of fold "{fold}" of the manifest',
                found=f"{int(present.sum())} of {len(fold_of)} utterances of the manifest",
                do="Build the store from the whole corpus, with ids of the form video$_$segment",
            )
    pool = utterances.loc[present].reset_index(drop=True)
    folds = pool["id"].map(fold_of).to_numpy(dtype=str)
    stated = manifest.shift
    meter = ShiftMeter(
        pool,
        get_task("binary" if manifest.task == "any" else manifest.task),
        min_count=int(stated.get("min_count", MIN_COUNT)),
        smoothing=float(stated.get("smoothing", SMOOTHING)),
    )
    return replace(
        manifest,
        generator={
            "name": APPLIED,
            "manifest": manifest.digest,
            "utterance_digest": manifest.utterance_digest,
            "made_by": manifest.generator,
        },
        utterance_digest=utterance_digest,
        splits={fold: tuple(pool["id"][folds == fold]) for fold in FOLDS},
        dropped=_dropped(manifest, utterances, set(fold_of)),
        shift=meter.measure(folds, **stated_comparison(stated)),
    )


def missing_utterances(manifest: SplitManifest) -> list[str]:
    """Ids that an applied manifest had to leave out, as its store has no such utterance."""
    return [drop.id for drop in manifest.dropped if drop.reason == NOT_IN_STORE]


def _dropped(
    manifest: SplitManifest, utterances: pd.DataFrame, named: set[str]
) -> tuple[DroppedUtterance, ...]:
    """Reasons of everything that is in the manifest or in the store, but in no fold."""
    ids = set(utterances["id"])
    reasons = dict.fromkeys(named - ids, NOT_IN_STORE)
    reasons |= dict.fromkeys(ids - named, NOT_IN_MANIFEST)
    reasons |= {
        drop.id: drop.reason
        for drop in manifest.dropped
        if drop.reason != NOT_IN_STORE or drop.id not in ids  # one that an earlier store lacked
    }
    return tuple(DroppedUtterance(name, reason) for name, reason in sorted(reasons.items()))
