"""The utterances that a split is made of: with their words, classes and the sizes of the folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import SplitError
from mer_data.splits.settings import GroupBy, RepartitionSettings
from mer_data.splits.shift.words import NumberedWords, WordTable
from mer_data.splits.standard import in_standard_folds
from mer_data.tasks import Task
from mer_data.utterances import FOLDS, NO_FOLD, DroppedUtterance

SMALLEST_FOLD = 3
SURPLUS_REASON = "more utterances than the sizes asked for"


@dataclass(frozen=True)
class Pool:
    """N utterances to divide.

    Attributes:
        frame: one row each, index 0..N-1.
        dropped: what is left out, with reasons.
        words: of every text.
        table: frequent words and classes.
        sizes: utterances per fold.
        num_shifted: utterances on the shifted side.
    """

    frame: pd.DataFrame
    dropped: tuple[DroppedUtterance, ...]
    words: NumberedWords
    table: WordTable
    sizes: dict[str, int]
    num_shifted: int

    def units(self, group_by: GroupBy | None) -> NDArray[np.int64]:
        """Return the unit of every utterance (N,), which moves as a whole, numbered from 0."""
        if group_by == "video":
            videos = self.frame["video_id"].to_numpy(dtype=str)
            return np.unique(videos, return_inverse=True)[1].astype(np.int64)
        return np.arange(len(self.frame))


def make_pool(utterances: pd.DataFrame, task: Task, settings: RepartitionSettings) -> Pool:
    """The utterances of a standard fold (or all, where there are none and sizes are given), checked.

    Raises:
        SplitError: neither folds nor sizes, sizes that the corpus cannot fill, a fold of fewer than three
            utterances, a class without any, no frequent word, or fewer than three videos to keep whole.
    """
    if settings.sizes is not None and (utterances["fold"] == NO_FOLD).all():
        frame = utterances.reset_index(drop=True)
        dropped: tuple[DroppedUtterance, ...] = ()
    else:
        if (utterances["fold"] == NO_FOLD).all():
            raise SplitError("the corpus has no standard folds to take sizes from", do="Give --sizes")
        frame, dropped = in_standard_folds(utterances)
    if settings.sizes is None:
        sizes = {fold: int((frame["fold"] == fold).sum()) for fold in FOLDS}
    else:
        sizes = dict(zip(FOLDS, settings.sizes, strict=True))
        frame, surplus = _cut_to(frame, sum(settings.sizes), settings)
        dropped = (*dropped, *surplus)
    classes = task.class_of(frame["label"].to_numpy())
    words = NumberedWords.from_texts(frame["text"])
    table = WordTable.build(words, classes, task.num_classes, settings.min_count)
    _check(words, table, sizes, task, settings)
    shifted = sizes["test"] + (sizes["valid"] if settings.keep_valid == "ood" else 0)
    pool = Pool(frame, dropped, words, table, sizes, shifted)
    if settings.group_by == "video" and pool.units("video").max() < len(FOLDS) - 1:
        raise SplitError(
            "too few videos to keep each in one fold",
            found=int(pool.units("video").max()) + 1,
            expected=f"at least {len(FOLDS)}",
            do="Leave --group-by at utterance",
        )
    return pool


def _cut_to(
    frame: pd.DataFrame, total: int, settings: RepartitionSettings
) -> tuple[pd.DataFrame, tuple[DroppedUtterance, ...]]:
    """As many utterances as the sizes add up to, chosen at random; the others as drops."""
    if total > len(frame):
        raise SplitError(
            "the sizes are larger than the corpus",
            found=f"{total} utterances asked for",
            expected=f"at most {len(frame)}",
            do="Give smaller --sizes",
        )
    kept = np.sort(np.random.default_rng([settings.seed, total]).permutation(len(frame))[:total])
    left = np.setdiff1d(np.arange(len(frame)), kept)
    surplus = tuple(DroppedUtterance(name, SURPLUS_REASON) for name in frame["id"].iloc[left])
    return frame.iloc[kept].reset_index(drop=True), surplus


def _check(
    words: NumberedWords, table: WordTable, sizes: dict[str, int], task: Task, settings: RepartitionSettings
) -> None:
    """Refuse a pool in which nothing can be searched."""
    small = min(sizes.values())
    if small < SMALLEST_FOLD:
        raise SplitError(
            "a fold is too small to repartition",
            found=", ".join(f"{fold} {size}" for fold, size in sizes.items()),
            expected=f"at least {SMALLEST_FOLD} utterances each",
            do="Build the store from more of the corpus",
        )
    absent = [name for name, share in zip(task.classes, table.prior, strict=True) if share == 0]
    if absent:
        raise SplitError(
            f'a class of the task "{task.name}" has no utterance',
            found=f"none of class {', '.join(absent)} among {len(words)}",
            do="Choose another task, or build the store from more of the corpus"
            if settings.sizes is None
            else "Choose another task, or give larger --sizes: utterances are drawn at random to fill them",
        )
    if not table.words:
        most = int(np.bincount(words.distinct.values).max(initial=0))
        raise SplitError(
            "no word is frequent enough to measure a shift",
            found=f"at most {most} utterances with the same word" if most else "no word in any text",
            expected=f"{settings.min_count} or more",
            do="Lower --min-count, or build the store from more of the corpus"
            if most
            else "Build the store from a source with texts",
        )
