"""What a report is made of, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_data.errors import SplitError, WorkspaceError
from mer_data.reports.formatting import measure
from mer_data.splits import RepartitionSettings, SplitManifest, standard_split
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS, Task
from mer_data.utterances import FOLDS
from mer_data.workspace import Workspace

STANDARD = "standard folds"


@dataclass(frozen=True)
class NamedSplit:
    """A split with the name that the report gives it."""

    name: str
    manifest: SplitManifest

    @property
    def shift(self) -> dict[str, Any]:
        """What its manifest records of its shift."""
        return self.manifest.shift

    @property
    def task(self) -> Task:
        """The task whose classes its shift was measured with."""
        return shift_task(self.manifest)

    @property
    def sides(self) -> tuple[str, str]:
        """Folds on the training side and on the shifted side."""
        return (
            ("train", "valid and test")
            if self.shift.get("valid_with") == "test"
            else ("train and valid", "test")
        )


def shift_task(manifest: SplitManifest) -> Task:
    """The task whose classes the shift of a split was measured with."""
    return TASKS.get(str(manifest.shift.get("task", manifest.task)), TASKS["binary"])


def choose_splits(workspace: Workspace, store: FeatureStore, names: Sequence[str]) -> list[NamedSplit]:
    """The splits that are named, or all in the workspace, or the standard folds where there are none.

    Named splits keep their order; those of the workspace are sorted: the standard folds first, then by task,
    by what moved, and by severity.

    Args:
        workspace: of the corpus.
        store: every split has to be of this store.
        names: names or paths.

    Raises:
        WorkspaceError: no such split, or two of one name.
        SplitError: a manifest is damaged, or was made from another store.
    """
    if names:
        paths = [workspace.choose_split(name) for name in names]
    else:
        paths = sorted((workspace.root / "splits").glob("*.json"))
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise WorkspaceError("two splits have one name", found=twice[0], do="Name each split once")
    if not paths:
        return _standard_folds(store)
    splits = [NamedSplit(path.stem, _load(path, store)) for path in paths]
    return splits if names else sorted(splits, key=_place)


def _place(split: NamedSplit) -> tuple[bool, str, str, float, str]:
    """Where a split stands among those of its workspace."""
    generator = split.manifest.generator
    severity = measure(generator, "severity")
    return (
        split.manifest.kind != "standard",
        split.manifest.task,
        str(generator.get("group_by", "")),
        -1.0 if severity is None else severity,
        split.name,
    )


def _load(path: Path, store: FeatureStore) -> SplitManifest:
    """A manifest, if it is of the store."""
    manifest = SplitManifest.load(path)
    try:
        manifest.check_store(store.utterance_digest, store.utterances["id"], store.path)
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from error
    return manifest


def _standard_folds(store: FeatureStore) -> list[NamedSplit]:
    """The published folds, measured now; none where the store has not all three."""
    if not set(FOLDS) <= set(store.utterances["fold"]):
        return []
    manifest = standard_split(
        store.utterances, dataset=store.dataset, utterance_digest=store.utterance_digest
    )
    return [NamedSplit(STANDARD, manifest)]


def check_curve(severities: Sequence[float] | None, seeds: Sequence[int]) -> None:
    """Refuse a severity outside [0, 1], a negative seed, and a value that is named twice.

    Raises:
        SplitError: with the value.
    """
    for seed in seeds:
        RepartitionSettings(seed=seed)
    for level in severities or ():
        RepartitionSettings(severity=level)
    for option, values in (("--severities", severities or ()), ("--seeds", seeds)):
        twice = sorted({value for value in values if list(values).count(value) > 1})
        if twice:
            raise SplitError(f"a value of {option} was named twice", found=f"{twice[0]:g}")


def refuse_filled(folder: Path, *, force: bool) -> None:
    """Refuse a folder for figures that holds some already.

    Raises:
        WorkspaceError: it does, and ``force`` is off.
    """
    held = sorted(path.name for kind in ("*.pdf", "*.png") for path in folder.glob(kind))
    if held and not force:
        raise WorkspaceError(
            f"{folder} holds figures already",
            found=held[0],
            do="Pass --force to replace those of the same names, or name another folder",
        )
