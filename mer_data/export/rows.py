"""What every export reads: the rows of each fold of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.splits import SplitManifest
from mer_data.store import FeatureStore
from mer_data.utterances import FOLDS


def fold_rows(store: FeatureStore, split: SplitManifest) -> dict[str, NDArray[np.int64]]:
    """Rows of "train", "valid" and "test" in the store, in the store's order.

    Raises:
        SplitError: the split was made from another store.
    """
    ids = store.utterances["id"]
    split.check_store(store.utterance_digest, ids, store.path)
    rows = split.indices(ids)
    return {fold: rows[fold] for fold in FOLDS}
