"""The words of utterances, numbered, and a table of the frequent ones.

Shapes: N utterances of the pool, V distinct words, W frequent words, C classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mer_data.utterances import Ragged, offsets_of

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The lower-cased words of a text: runs of letters and digits, apostrophes inside them kept."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class NumberedWords:
    """The words of N texts as numbers: a million texts fit into memory, and are counted by numpy.

    Attributes:
        vocabulary: the distinct words, sorted (V).
        running: the words of every text in their order, as indices into ``vocabulary``, ``Ragged`` (N) int32.
    """

    vocabulary: list[str]
    running: Ragged

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> NumberedWords:
        """Split texts into words."""
        return cls.from_rows(map(words_of, texts))

    @classmethod
    def from_rows(cls, rows: Iterable[list[str]]) -> NumberedWords:
        """Number words that are split already."""
        number_of: dict[str, int] = {}
        numbered = [
            np.array([number_of.setdefault(word, len(number_of)) for word in row], dtype=np.int32)
            for row in rows
        ]
        vocabulary = sorted(number_of)
        place = np.empty(len(vocabulary), dtype=np.int32)
        place[[number_of[word] for word in vocabulary]] = np.arange(len(vocabulary))
        running = Ragged.from_rows(numbered, like=np.zeros(0, dtype=np.int32))
        return cls(vocabulary, Ragged(place[running.values], running.offsets))

    def __len__(self) -> int:
        """Number of texts N."""
        return len(self.running)

    @cached_property
    def distinct(self) -> Ragged:
        """The distinct words of every text, rising, ``Ragged`` (N) int32."""
        num_words = max(len(self.vocabulary), 1)
        # One number for a text and a word: sorted, equal ones are neighbours, and the first of each is kept.
        keys = self.running.owners * num_words + self.running.values
        keys.sort()
        keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
        offsets = np.searchsorted(keys, np.arange(len(self) + 1) * num_words).astype(np.int64)
        return Ragged((keys % num_words).astype(np.int32), offsets)

    def take(self, rows: NDArray[np.int64]) -> NumberedWords:
        """The same of some of the texts; the vocabulary stays."""
        return NumberedWords(self.vocabulary, self.running.take(rows))


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
    def build(
        cls, words: NumberedWords, classes: NDArray[np.int64], num_classes: int, min_count: int
    ) -> WordTable:
        """Count the words that occur in at least ``min_count`` utterances."""
        distinct = words.distinct
        num_utterances = np.bincount(distinct.values, minlength=len(words.vocabulary))
        is_frequent = num_utterances >= min_count
        kept = is_frequent[distinct.values]
        offsets = offsets_of(kept)[distinct.offsets]
        number_of = np.cumsum(is_frequent) - 1
        present = Ragged(number_of[distinct.values[kept]].astype(np.int64), offsets)
        frequent = [words.vocabulary[i] for i in np.flatnonzero(is_frequent)]
        counts = _count(present, classes, np.ones(len(words), dtype=bool), (len(frequent), num_classes))
        prior = np.bincount(classes, minlength=num_classes) / max(len(classes), 1)
        return cls(frequent, present, classes, counts, prior)

    def counts_in(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Counts (W, C) among the utterances ``chosen`` (N,)."""
        return _count(self.present, self.classes, chosen, self.counts.shape)


def _count(
    present: Ragged, classes: NDArray[np.int64], chosen: NDArray[np.bool_], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Utterances per word and class (W, C) among ``chosen`` (N,)."""
    owner = present.owners
    kept = chosen[owner]
    cells = present.values[kept] * shape[1] + classes[owner[kept]]
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
