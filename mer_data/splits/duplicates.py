"""Near-duplicate sentences across the sides of a split."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from mer_data.splits.words import Tokens

THRESHOLD = 0.8
MIN_WORDS = 4


def near_duplicates(tokens: Tokens, among: Sequence[int], others: Sequence[int]) -> list[int]:
    """Rows of ``among`` that have a near-duplicate in ``others``: |A and B| / |A or B| of their words >= 0.8.

    Sentences of fewer than four distinct words are not looked at ("yes it was" is no leak). Two sets that
    overlap that much share one of their rarest words, so only sentences filed under those are compared.

    Args:
        tokens: words of every utterance (N).
        among: rows to look at.
        others: rows to compare them with.
    """
    sets = {row: set(tokens[row]) for row in (*among, *others)}
    how_many = Counter(word for words in sets.values() for word in words)

    def rarest(row: int) -> list[str]:
        words = sorted(sets[row], key=lambda word: (how_many[word], word))
        return words[: len(words) - math.ceil(THRESHOLD * len(words)) + 1]

    filed: defaultdict[str, list[int]] = defaultdict(list)
    for row in others:
        if len(sets[row]) >= MIN_WORDS:
            for word in rarest(row):
                filed[word].append(row)
    found = []
    for row in among:
        candidates = {other for word in rarest(row) for other in filed.get(word, ())}
        if len(sets[row]) >= MIN_WORDS and any(_alike(sets[row], sets[other]) for other in candidates):
            found.append(row)
    return found


def _alike(one: set[str], other: set[str]) -> bool:
    return len(one & other) >= THRESHOLD * len(one | other)
