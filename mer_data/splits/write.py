"""Split manifests of a workspace: searched or taken from the published ones, named and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_data.errors import SplitError
from mer_data.files.writing import refuse_overwrite
from mer_data.progress import Progress
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.published import apply_manifest, load_published, split_name
from mer_data.splits.repartition import repartition
from mer_data.splits.settings import RepartitionSettings
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task
from mer_data.workspace import Workspace

Made = tuple[Path, SplitManifest]


def make_splits(
    workspace: Workspace,
    store: FeatureStore,
    task: Task,
    settings: RepartitionSettings,
    *,
    series: Sequence[float] | None = None,
    out: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[Made]:
    """Search and write: one manifest, or one for each severity of a series.

    Args:
        workspace: where manifests go by default.
        store: gives the utterances.
        task: of the split.
        settings: of the search.
        series: severities.
        out: path of the manifest, or folder of the series; None: in the workspace.
        force: replace what is there.
        progress: of the search.

    Raises:
        SplitError: a file is there already, or see ``repartition``.
    """
    if series is None:
        paths = [out or workspace.split_path(split_name(store.dataset, task, settings, settings.severity))]
    else:
        paths = [workspace.split_path(split_name(store.dataset, task, settings, level)) for level in series]
        paths = [out / path.name for path in paths] if out is not None else paths
        if len(set(paths)) < len(paths):
            raise SplitError(
                "two severities of the series are the same to four decimals",
                found=", ".join(f"{level:g}" for level in series),
                do="Leave one of them out",
            )
    for path in paths:
        refuse_overwrite(path, force=force, error=SplitError)
    manifests = repartition(
        store.utterances,
        dataset=store.dataset,
        utterance_digest=store.utterance_digest,
        task=task,
        settings=settings,
        severities=series,
        progress=progress,
    )
    for path, manifest in zip(paths, manifests, strict=True):
        manifest.save(path)
    return list(zip(paths, manifests, strict=True))


def apply_published(
    workspace: Workspace, store: FeatureStore, name: str, *, out: Path | None = None, force: bool = False
) -> Made:
    """Write a published split for a store (see ``mer_data.splits.published.apply_manifest``).

    Raises:
        SplitError: no such split, a file is there already, or the store lacks a whole fold.
    """
    manifest = load_published(store.dataset, name)
    path = out or workspace.split_path(Path(name).stem)
    refuse_overwrite(path, force=force, error=SplitError)
    applied = apply_manifest(manifest, store.utterances, utterance_digest=store.utterance_digest)
    applied.save(path)
    return path, applied


def num_other_texts(workspace: Workspace, store: FeatureStore, applied: SplitManifest) -> int | None:
    """Utterances of a split whose text in ``store`` differs from that in the store it was made from.

    Args:
        workspace: where the store that the split was made from may be.
        store: to which the split was applied.
        applied: as `apply_published` wrote it.

    Returns:
        None where that store is not in the workspace, so that nothing can be compared.
    """
    origin = applied.generator.get("utterance_digest", applied.utterance_digest)
    if origin == store.utterance_digest:
        return 0
    for path in sorted((workspace.root / "store").glob("*.h5")):
        other = FeatureStore.open(path)
        if other.utterance_digest == origin:
            texts = dict(zip(store.utterances["id"], store.utterances["text"], strict=True))
            theirs = dict(zip(other.utterances["id"], other.utterances["text"], strict=True))
            named = {name for ids in applied.splits.values() for name in ids}
            return sum(texts[name] != theirs.get(name, texts[name]) for name in named)
    return None
