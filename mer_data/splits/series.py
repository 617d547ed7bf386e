"""Graded series: the splits of one search that differ in severity alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mer_data.errors import SplitError, WorkspaceError
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.published import APPLIED, split_name
from mer_data.splits.repartition import GENERATOR
from mer_data.splits.settings import RepartitionSettings
from mer_data.tasks import Task, get_task
from mer_data.workspace import Workspace


@dataclass(frozen=True)
class SeriesSplit:
    """One split of a series.

    Attributes:
        path: of the manifest.
        manifest: the split.
        severity: how far it shifts, 0 to 1.
        origin: what it has in common with the others: corpus, task and every parameter but the severity.
    """

    path: Path
    manifest: SplitManifest
    severity: float
    origin: dict[str, Any]

    @classmethod
    def from_manifest(cls, path: Path, manifest: SplitManifest) -> SeriesSplit:
        """The place of a split in its series.

        Raises:
            SplitError: it was not made by ``repartition``, so it has no severity.
        """
        recorded = _parameters(manifest)
        if recorded is None:
            raise SplitError(
                "the split has no severity",
                where=path,
                found=f"a split of kind {manifest.kind}",
                expected="one of `mer-data repartition`",
            )
        severity = float(recorded.pop("severity"))
        corpus = {
            "dataset": manifest.dataset,
            "task": manifest.task,
            "utterance_digest": manifest.utterance_digest,
        }
        return cls(path, manifest, severity, {**corpus, **recorded})

    @property
    def divergence_bits(self) -> float | None:
        """Word-to-label divergence in bits, as the manifest states it; None where no word is frequent."""
        value: float | None = self.manifest.shift["word_label_divergence_bits"]["this_split"]
        return value

    @property
    def series_name(self) -> str:
        """Name of its series, such as ``ood_binary_seed0``."""
        settings = RepartitionSettings(
            **{name: self.origin[name] for name in ("seed", "group_by", "keep_valid") if name in self.origin}
        )
        return split_name(self.manifest.dataset, get_task(self.manifest.task), settings, None)


def as_series(splits: Sequence[SeriesSplit]) -> tuple[SeriesSplit, ...]:
    """The splits (at least one) by rising severity, each once.

    Raises:
        SplitError: they differ in more than severity, or two of one severity are different splits.
    """
    ordered = sorted(splits, key=lambda split: split.severity)
    first, kept = ordered[0], ordered[:1]
    for split in ordered[1:]:
        if split.origin != first.origin:
            names = {**first.origin, **split.origin}
            differing = [name for name in names if split.origin.get(name) != first.origin.get(name)]
            raise SplitError(
                f"{split.path} and {first.path} are of different series: another {', '.join(differing)}",
                found=", ".join(str(split.origin.get(name)) for name in differing),
                expected=", ".join(str(first.origin.get(name)) for name in differing),
            )
        if split.severity > kept[-1].severity:
            kept.append(split)
    for one, other in pairwise(ordered):
        if one.severity == other.severity and one.manifest.digest != other.manifest.digest:
            raise SplitError(
                f"{one.path} and {other.path} are different splits of severity {one.severity:g}",
                do="Remove one of them, or make the series again",
            )
    return tuple(kept)


def find_series(folder: Path, task: Task, utterance_digest: str) -> dict[str, tuple[SeriesSplit, ...]]:
    """The series of two severities or more in a folder, by name, each by rising severity.

    Args:
        folder: of manifests; those of other stores and tasks, and those without a severity, are left out.
        task: of the splits.
        utterance_digest: of the store that they were made from.

    Raises:
        SplitError: a manifest is damaged, or two of one series and severity are different splits.
    """
    by_origin: dict[str, list[SeriesSplit]] = {}
    for path in sorted(folder.glob("*.json")):
        manifest = SplitManifest.load(path)
        of_store = (manifest.task, manifest.utterance_digest) == (task.name, utterance_digest)
        if of_store and _parameters(manifest) is not None:
            split = SeriesSplit.from_manifest(path, manifest)
            by_origin.setdefault(repr(sorted(split.origin.items())), []).append(split)
    series: dict[str, tuple[SeriesSplit, ...]] = {}
    for splits in map(as_series, by_origin.values()):
        if len(splits) > 1:
            name = splits[0].series_name
            # Series may differ in a parameter that is not in the name.
            series[name if name not in series else f"{name}, {splits[0].path.stem}"] = splits
    return series


def choose_series(
    workspace: Workspace, task: Task, utterance_digest: str, name: str | None = None
) -> tuple[SeriesSplit, ...]:
    """The series called ``name`` in the workspace, or the only one in the folder ``name``, or the only one.

    Args:
        workspace: of the dataset.
        task: of the splits.
        utterance_digest: of the store that they were made from.
        name: as ``ood_binary_seed0``, or a folder of manifests.

    Raises:
        WorkspaceError: there is none, none of that name, or several to choose from.
        SplitError: as ``find_series``.
    """
    is_folder = name is not None and Path(name).is_dir()
    folder = Path(str(name)) if is_folder else workspace.split_path("any").parent
    found = find_series(folder, task, utterance_digest)
    if name is not None and not is_folder:
        if name not in found:
            raise WorkspaceError(
                f"no series {name!r}",
                where=folder,
                found="; ".join(found) or "none",
                do=_make(workspace, task),
            )
        return found[name]
    if not found:
        raise WorkspaceError(
            f"no graded series of splits for the store and task {task.name}",
            where=folder,
            expected="splits that differ in severity alone",
            do=_make(workspace, task),
        )
    if len(found) > 1:
        raise WorkspaceError(
            "several series of splits",
            where=folder,
            found="; ".join(found),
            do="Choose one with --series NAME",
        )
    return next(iter(found.values()))


def at_severities(series: Sequence[SeriesSplit], severities: Sequence[float]) -> tuple[SeriesSplit, ...]:
    """The splits of a series that have these severities.

    Raises:
        SplitError: the series has no split of one of them.
    """
    chosen = {split.severity: split for split in series}
    missing = [level for level in severities if level not in chosen]
    if missing:
        raise SplitError(
            f"the series has no split of severity {', '.join(f'{level:g}' for level in missing)}",
            found=", ".join(f"{level:g}" for level in chosen),
            do="Make the series with these severities: `mer-data repartition --series`",
        )
    return tuple(chosen[level] for level in sorted(set(severities)))


def _parameters(manifest: SplitManifest) -> dict[str, Any] | None:
    """Return the parameters of ``repartition``, also for a split applied to another store; else None."""
    recorded = manifest.generator
    if recorded.get("name") == APPLIED:
        recorded = recorded.get("made_by", {})
    if recorded.get("name") != GENERATOR or not isinstance(recorded.get("severity"), int | float):
        return None
    return {name: value for name, value in recorded.items() if name != "name"}


def _make(workspace: Workspace, task: Task) -> str:
    command = f"mer-data repartition --dataset {workspace.dataset} --task {task.name}"
    return f"Make one with `{command} --series 0,0.25,0.5,0.75,1`"
