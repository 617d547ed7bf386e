"""Finding and opening a store of the workspace."""

from __future__ import annotations

from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace


def choose_store(
    workspace: Workspace, alignment: str | None, *, option: str = "--alignment NAME"
) -> FeatureStore:
    """Open the store named by ``alignment`` (or at that path), else the only one.

    Args:
        workspace: of a dataset.
        alignment: name or path; None takes the only store.
        option: how a person chooses another, for messages.

    Raises:
        WorkspaceError: there is none, or there are several and none is named.
        StoreError: it is damaged.
    """
    return FeatureStore.open(workspace.choose_store(alignment, option=option))


def any_store(workspace: Workspace, alignment: str | None) -> FeatureStore:
    """Open a store for what depends on ids, labels, texts and folds alone: any, when all agree on them.

    Raises:
        MerDataError: as `choose_store`.
    """
    paths = workspace.store_paths()
    if alignment is None and len(paths) > 1:
        stores = [FeatureStore.open(path) for path in paths]
        if len({(store.utterance_digest, _folds(store)) for store in stores}) == 1:
            return stores[0]
    return choose_store(workspace, alignment)


def _folds(store: FeatureStore) -> frozenset[tuple[str, str]]:
    """Every id with its fold; files of one corpus can bring folds of their own."""
    return frozenset(zip(store.utterances["id"], store.utterances["fold"], strict=True))
