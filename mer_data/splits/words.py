"""The words of utterances, and a table of the frequent ones.

Shapes: N utterances of the pool, W frequent words, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.utterances import Ragged

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

Tokens = list[list[str]]


def words_of(text: str) -> list[str]:
    """The lower-cased words of a text: runs of letters and digits, apostrophes inside them kept."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class WordTable:
    """Which frequent words occur in which utterance, and how often with which class.

    Attributes:
        words: the frequent words, sorted (W).
        present: for every utterance the distinct indices of its frequent words, ``Ragged`` (N) int64.
        classes: class of every utterance (N,) int64.
        counts: utterances of each class that contain each word (W, C) int64.
        prior: share of every class among the utterances (C,).
    """

    words: list[str]
    present: Ragged
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]
    prior: NDArray[np.float64]

    @classmethod
    def build(cls, tokens: Tokens, classes: NDArray[np.int64], num_classes: int, min_count: int) -> WordTable:
        """Count the words that occur in at least ``min_count`` utterances."""
        distinct = [sorted(set(row)) for row in tokens]
        occurrences = Counter(word for row in distinct for word in row)
        words = sorted(word for word, count in occurrences.items() if count >= min_count)
        index = {word: i for i, word in enumerate(words)}
        rows = [np.array([index[word] for word in row if word in index], dtype=np.int64) for row in distinct]
        present = Ragged.from_rows(rows, like=np.zeros(0, dtype=np.int64))
        counts = _count(present, classes, np.ones(len(rows), dtype=bool), (len(words), num_classes))
        prior = np.bincount(classes, minlength=num_classes) / max(len(classes), 1)
        return cls(words, present, classes, counts, prior)

    def counts_in(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Counts (W, C) among the utterances ``chosen`` (N,)."""
        return _count(self.present, self.classes, chosen, self.counts.shape)


def _count(
    present: Ragged, classes: NDArray[np.int64], chosen: NDArray[np.bool_], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Utterances per word and class (W, C) among ``chosen`` (N,)."""
    owner = np.repeat(np.arange(len(present)), present.lengths)
    kept = chosen[owner]
    cells = present.values[kept] * shape[1] + classes[owner[kept]]
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
