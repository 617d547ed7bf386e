"""The standard folds of a corpus as a split manifest."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mer_data.errors import SplitError
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.shift.divergence import MIN_COUNT, SMOOTHING
from mer_data.splits.shift.measure import ShiftMeter
from mer_data.tasks import TASKS
from mer_data.utterances import FOLDS, NO_FOLD, DroppedUtterance

NO_FOLD_REASON = "in no standard fold"


def standard_split(utterances: pd.DataFrame, *, dataset: str, utterance_digest: str) -> SplitManifest:
    """The published folds; utterances in none of them are dropped, with the reason.

    The shift is measured with the three classes of the binary task.

    Args:
        utterances: the frame of a store (``mer_data.utterances.UTTERANCE_COLUMNS``), one row each.
        dataset: name of the corpus.
        utterance_digest: the store's digest.

    Raises:
        SplitError: a fold is empty, or the column ``fold`` has an unknown name.
    """
    pool, dropped = in_standard_folds(utterances)
    folds = pool["fold"].to_numpy(dtype=str)
    meter = ShiftMeter(pool, TASKS["binary"], min_count=MIN_COUNT, smoothing=SMOOTHING)
    return SplitManifest(
        dataset=dataset,
        task="any",
        kind="standard",
        generator={"name": "standard_folds"},
        utterance_digest=utterance_digest,
        splits=ids_by_fold(pool, folds),
        dropped=dropped,
        shift=meter.measure(folds),
    )


def in_standard_folds(utterances: pd.DataFrame) -> tuple[pd.DataFrame, tuple[DroppedUtterance, ...]]:
    """The utterances of a standard fold (the pool, index 0..N-1), and the others as drops.

    Raises:
        SplitError: a fold is empty, or the column ``fold`` has an unknown name.
    """
    unknown = sorted(set(utterances["fold"]) - {*FOLDS, NO_FOLD})
    if unknown:
        raise SplitError("unknown fold", found=repr(unknown[0]), expected=", ".join([*FOLDS, NO_FOLD]))
    for fold in FOLDS:
        if not (utterances["fold"] == fold).any():
            raise SplitError(
                f'standard fold "{fold}" is empty',
                found=f"{len(utterances)} utterances in other folds",
                do="Build the store from the whole corpus, or give its utterances folds",
            )
    outside = utterances["fold"] == NO_FOLD
    dropped = tuple(DroppedUtterance(name, NO_FOLD_REASON) for name in utterances.loc[outside, "id"])
    return utterances.loc[~outside].reset_index(drop=True), dropped


def ids_by_fold(pool: pd.DataFrame, folds: np.ndarray) -> dict[str, tuple[str, ...]]:
    """Ids of every fold, where ``folds`` (N,) names the fold of each row of ``pool``."""
    ids = pool["id"].to_numpy(dtype=object)
    return {fold: tuple(ids[folds == fold]) for fold in FOLDS}
