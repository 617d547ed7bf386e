"""What every export reads: the rows of each fold of a split, a few hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.utterances import FOLDS

GROUP = 256
"""Utterances that a streaming export holds at once."""


def fold_rows(store: FeatureStore, split: SplitManifest) -> dict[str, NDArray[np.int64]]:
    """Rows of "train", "valid" and "test" in the store, in the store's order.

    Raises:
        SplitError: the split was made from another store.
    """
    ids = store.utterances["id"]
    split.check_store(store.utterance_digest, ids, store.path)
    rows = split.indices(ids)
    return {fold: rows[fold] for fold in FOLDS}


def in_groups(chosen: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows (N,), at most ``GROUP`` at a time."""
    for start in range(0, len(chosen), GROUP):
        yield chosen[start : start + GROUP]
