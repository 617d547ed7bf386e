"""Near-duplicate sentences across the sides of a split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.shift.words import NumberedWords
from mer_data.utterances import Ragged

THRESHOLD = 0.8
MIN_WORDS = 4


def near_duplicates(
    words: NumberedWords, among: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows of ``among`` that have a near-duplicate in ``others``: |A and B| / |A or B| of their words >= 0.8.

    Sentences of fewer than four distinct words are not looked at ("yes it was" is no leak). Two sets that
    overlap that much share one of their rarest words, so only sentences filed under those are compared.

    Args:
        words: of every utterance (N).
        among: rows to look at.
        others: rows to compare them with.
    """
    from mer_data.splits.shift.overlaps import has_overlap

    sets = _by_rarity(words.distinct)
    long_enough = sets.lengths >= MIN_WORDS
    among, others = among[long_enough[among]], others[long_enough[others]]
    filed, owners = _file_under_rarest(sets.take(others), len(words.vocabulary))
    num_rarest = _num_rarest(sets.lengths)
    found = has_overlap(sets.values, sets.offsets, num_rarest, among, others, owners, filed, THRESHOLD)
    return among[found]


def _by_rarity(distinct: Ragged) -> Ragged:
    """The words of every text from the rarest on, numbered in that order of all words."""
    how_many = np.bincount(distinct.values)
    rank = np.empty(len(how_many), dtype=np.int64)
    rank[np.argsort(how_many, kind="stable")] = np.arange(len(how_many))
    keys = distinct.owners * max(len(how_many), 1) + rank[distinct.values]
    keys.sort()
    return Ragged((keys % max(len(how_many), 1)).astype(np.int32), distinct.offsets)


def _num_rarest(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of a set's rarest words any set that overlaps by the threshold shares one of."""
    return lengths - np.ceil(THRESHOLD * lengths).astype(np.int64) + 1


def _file_under_rarest(sets: Ragged, num_words: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each word's entries begin (V + 1,), and the set that each entry is of."""
    within = np.arange(len(sets.values)) - np.repeat(sets.offsets[:-1], sets.lengths)
    is_rare = within < np.repeat(_num_rarest(sets.lengths), sets.lengths)
    word, owner = sets.values[is_rare], sets.owners[is_rare]
    order = np.argsort(word, kind="stable")
    return np.searchsorted(word[order], np.arange(num_words + 1)), owner[order]
