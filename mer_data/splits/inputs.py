"""A store with one of its splits, as statistics and exports read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_data.splits.manifest import SplitManifest
from mer_data.store.choose import choose_store
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task, get_task
from mer_data.workspace import Workspace, only_dataset


@dataclass(frozen=True)
class Inputs:
    """The inputs of statistics: one store and one split of it, for one task."""

    workspace: Workspace
    store: FeatureStore
    split_path: Path
    split: SplitManifest
    task: Task


def choose_inputs(dataset: str | None, alignment: str | None, split: str | None, task: str | None) -> Inputs:
    """The store and the split that are named, or the only ones, checked to belong together.

    Args:
        dataset: name of a dataset.
        alignment: name or path of a store.
        split: name or path of a split manifest.
        task: "binary" or "seven"; None takes the split's, or binary where it is for any.
    """
    workspace = Workspace(only_dataset(dataset))
    store = choose_store(workspace, alignment)
    split_path = workspace.choose_split(split)
    manifest = SplitManifest.load(split_path)
    manifest.check_store(store.utterance_digest, store.utterances["id"], store.path)
    chosen = get_task(task or ("binary" if manifest.task == "any" else manifest.task))
    return Inputs(workspace, store, split_path, manifest, chosen)
