"""How far a split shifts: the divergence of the word-to-label relation, and its companions.

Shapes: N utterances of the pool, W frequent words, C classes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.tasks import Task
from mer_data.utterances import FOLDS, Ragged

MIN_COUNT = 10
SMOOTHING = 1.0
RANDOM_SEEDS = (0, 1, 2, 3, 4)
NUM_TOP_WORDS = 10

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TINY = np.finfo(np.float64).tiny

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


def weighted_divergences(
    test_counts: NDArray[np.int64],
    counts: NDArray[np.int64],
    prior: NDArray[np.float64],
    smoothing: float,
) -> NDArray[np.float64]:
    """n_w * JSD_w in bits for words w: how far their label relation differs between test and rest.

    p_s(c|w) = (n_swc + smoothing * prior_c) / (n_sw + smoothing) on side s (test or rest), and JSD_w is the
    Jensen-Shannon divergence of the two with the mixing weights n_sw / n_w. Without smoothing that is
    the mutual information between side and label, given the word: what knowing the side of a sighting of
    w tells about its label. The weights matter for a search: with equal weights a word seen once on one
    side (its p is then a corner) counts as much as one seen a hundred times on both, and the search would
    earn divergence by hiding words. With these weights a word that lives wholly on one side has none.

    Args:
        test_counts: utterances of the test side that contain each word, by class (W, C).
        counts: the same for both sides together (W, C), every row sum at least 1.
        prior: class shares of the pool (C,).
        smoothing: pseudo-utterances of the prior that each side is given, at least 0.

    Returns:
        (W,) bits times utterances, never negative.
    """
    both_sides = np.stack([test_counts, counts - test_counts])
    sizes = both_sides.sum(axis=2, keepdims=True)
    p = (both_sides + smoothing * prior) / np.maximum(sizes + smoothing, _TINY)
    mixed = (sizes * p).sum(axis=0) / sizes.sum(axis=0)
    return np.maximum(
        sizes.sum(axis=(0, 2)) * _entropy(mixed) - (sizes[..., 0] * _entropy(p)).sum(axis=0), 0.0
    )


def _entropy(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy in bits over the last axis."""
    return -(p * np.log2(np.maximum(p, _TINY))).sum(axis=-1)


def split_divergence(table: WordTable, in_test: NDArray[np.bool_], smoothing: float) -> float:
    """Divergence of a split in bits: the mean of JSD_w over sightings, sum n_w JSD_w / sum n_w.

    NaN where no word is frequent enough. A random split is above zero too, as its sides are finite:
    compare with ``random_divergence``.
    """
    weighted = weighted_divergences(table.counts_in(in_test), table.counts, table.prior, smoothing)
    return float(weighted.sum() / table.counts.sum()) if table.words else float("nan")


def random_divergence(table: WordTable, num_test: int, smoothing: float) -> tuple[float, float]:
    """Mean and sample deviation of the divergence of five random splits with ``num_test`` test utterances."""
    values = []
    for seed in RANDOM_SEEDS:
        in_test = np.zeros(len(table.classes), dtype=bool)
        in_test[np.random.default_rng(seed).permutation(len(in_test))[:num_test]] = True
        values.append(split_divergence(table, in_test, smoothing))
    return float(np.mean(values)), float(np.std(values, ddof=1))


def measure_shift(
    pool: pd.DataFrame, folds: NDArray[np.str_], task: Task, *, min_count: int, smoothing: float
) -> dict[str, Any]:
    """Everything that a manifest says about the shift of a split, as JSON values.

    Args:
        pool: utterances with the columns ``video_id``, ``label``, ``text`` and (standard) ``fold``.
        folds: fold of every row in the split to measure (N,), each of "train", "valid" and "test".
        task: gives the classes.
        min_count: utterances that a word must occur in to be measured.
        smoothing: see ``weighted_divergences``.

    Returns:
        Divergences in bits and shares as numbers with six decimals; null where nothing is frequent enough.
    """
    tokens = [words_of(text) for text in pool["text"]]
    classes = task.class_of(pool["label"].to_numpy())
    in_test = folds == "test"
    table = WordTable.build(tokens, classes, task.num_classes, min_count)
    standard = (pool["fold"] == "test").to_numpy()
    random_mean, random_std = random_divergence(table, int(in_test.sum()), smoothing)
    shares = {fold: _shares(classes[folds == fold], task) for fold in FOLDS}
    shares["pool"] = _shares(classes, task)
    return {
        "task": task.name,
        "min_count": min_count,
        "smoothing": smoothing,
        "num_words": len(table.words),
        "word_label_divergence_bits": {
            "this_split": _number(split_divergence(table, in_test, smoothing)),
            "standard_folds": _number(split_divergence(table, standard, smoothing)),
            "random_mean": _number(random_mean),
            "random_std": _number(random_std),
        },
        "train_valid_divergence_bits": _train_valid(tokens, classes, folds, task, min_count, smoothing),
        "random_seeds": list(RANDOM_SEEDS),
        "label_shares": shares,
        "max_label_share_deviation": max(
            _number(abs(shares["test"][name] - shares["pool"][name])) or 0.0 for name in task.classes
        ),
        "words_per_utterance": {
            fold: _number(float(np.mean([len(tokens[i]) for i in np.flatnonzero(folds == fold)])))
            for fold in FOLDS
        },
        **_vocabulary(tokens, folds),
        **_video_overlap(pool["video_id"].to_numpy(dtype=str), in_test),
        "top_words": _top_words(table, in_test, task, smoothing),
    }


def _number(value: float) -> float | None:
    """Six decimals, so that equal splits give equal bytes; NaN is null."""
    return None if np.isnan(value) else round(float(value), 6)


def _shares(classes: NDArray[np.int64], task: Task) -> dict[str, Any]:
    """Share of every class by name."""
    counts = np.bincount(classes, minlength=task.num_classes)
    return {
        name: _number(count / max(counts.sum(), 1)) for name, count in zip(task.classes, counts, strict=True)
    }


def _train_valid(
    tokens: Tokens,
    classes: NDArray[np.int64],
    folds: NDArray[np.str_],
    task: Task,
    min_count: int,
    smoothing: float,
) -> dict[str, Any]:
    """Divergence between train and valid alone, beside random splits of the two together."""
    rows = np.flatnonzero(folds != "test")
    table = WordTable.build([tokens[i] for i in rows], classes[rows], task.num_classes, min_count)
    in_valid = folds[rows] == "valid"
    mean, std = random_divergence(table, int(in_valid.sum()), smoothing)
    this_split = split_divergence(table, in_valid, smoothing)
    return {"this_split": _number(this_split), "random_mean": _number(mean), "random_std": _number(std)}


def _vocabulary(tokens: Tokens, folds: NDArray[np.str_]) -> dict[str, Any]:
    """How much of the test text is known from train: distinct words, and running words."""
    known = {word for i in np.flatnonzero(folds == "train") for word in tokens[i]}
    running = [word for i in np.flatnonzero(folds == "test") for word in tokens[i]]
    distinct = set(running)
    return {
        "test_vocabulary_in_train": _number(len(distinct & known) / max(len(distinct), 1)),
        "test_oov_rate": _number(sum(word not in known for word in running) / max(len(running), 1)),
    }


def _video_overlap(videos: NDArray[np.str_], in_test: NDArray[np.bool_]) -> dict[str, Any]:
    """How many videos (speakers) of the test fold are in train or valid too."""
    of_test = set(videos[in_test])
    return {
        "num_test_videos": len(of_test),
        "num_test_videos_in_train_or_valid": len(of_test & set(videos[~in_test])),
    }


def _top_words(
    table: WordTable, in_test: NDArray[np.bool_], task: Task, smoothing: float
) -> list[dict[str, Any]]:
    """The words with the largest n_w * JSD_w above zero, ties in alphabetical order."""
    test_counts = table.counts_in(in_test)
    weighted = weighted_divergences(test_counts, table.counts, table.prior, smoothing)
    sides = {"test": test_counts, "rest": table.counts - test_counts}
    order = np.lexsort((np.arange(len(weighted)), -np.round(weighted, 9)))[:NUM_TOP_WORDS]
    top = []
    for i in order[weighted[order] > 0]:
        entry = {"word": table.words[i], "divergence_bits": _number(weighted[i] / table.counts[i].sum())}
        for side, counts in sides.items():
            entry[f"num_{side}"] = int(counts[i].sum())
            entry[f"{side}_shares"] = {
                name: _number(count / max(counts[i].sum(), 1))
                for name, count in zip(task.classes, counts[i], strict=True)
            }
        top.append(entry)
    return top
