"""How far a split shifts: the divergence of the word-to-label relation, and its companions.

Shapes: N utterances of the pool, W frequent words, C classes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.splits.shift.divergence import (
    RANDOM_SEEDS,
    random_divergence,
    random_side,
    split_divergence,
    weighted_divergences,
    word_weights,
)
from mer_data.splits.shift.duplicates import MIN_WORDS, THRESHOLD, near_duplicates
from mer_data.splits.shift.probes import NUM_DECIMALS, bag_of_words_probe, cross_validated
from mer_data.splits.shift.words import NumberedWords, WordTable
from mer_data.tasks import Task
from mer_data.utterances import FOLDS

NUM_TOP_WORDS = 20
PROBE_SEEDS = RANDOM_SEEDS[:3]

Folds = NDArray[np.str_]


class ShiftMeter:
    """Measures splits of one pool; what they are compared with is measured once."""

    def __init__(
        self,
        pool: pd.DataFrame,
        task: Task,
        *,
        min_count: int,
        smoothing: float,
        words: NumberedWords | None = None,
    ) -> None:
        """Count the words.

        Args:
            pool: N utterances with the columns ``video_id``, ``label``, ``text`` and (standard) ``fold``.
            task: gives the classes.
            min_count: utterances that a word must occur in to be measured.
            smoothing: see ``mer_data.splits.shift.divergence.weighted_divergences``.
            words: of the texts, where they have been split already.
        """
        self._pool, self._task = pool, task
        self._min_count, self._smoothing = min_count, smoothing
        self._words = NumberedWords.from_texts(pool["text"]) if words is None else words
        self._classes = task.class_of(pool["label"].to_numpy())
        self._table = WordTable.build(self._words, self._classes, task.num_classes, min_count)
        self._probe = bag_of_words_probe(self._words, self._classes, task)
        self._random: dict[tuple[int, int, bool], dict[str, Any]] = {}

    def measure(
        self, folds: Folds, *, valid_with: str = "train", random_units: str | None = "utterance"
    ) -> dict[str, Any]:
        """Everything that a manifest says about the shift of a split, as JSON values.

        Args:
            folds: fold of every row of the pool in the split to measure (N,).
            valid_with: "train" or "test", the side that validation was taken from.
            random_units: "utterance" or "video": what the random splits are choices of that the split is
                compared with. Videos have topics, so that random splits of them diverge more.

        Returns:
            Divergences in bits and shares as numbers with six decimals; null where they are undefined.
            ``random_units`` is among them where it is not "utterance".
        """
        shifted = (folds == "test") | ((folds == "valid") & (valid_with == "test"))
        unit_of = self._videos_of if random_units == "video" else None
        mean, std = random_divergence(self._table, int(shifted.sum()), self._smoothing, unit_of)
        shares = {fold: self._shares(folds == fold) for fold in FOLDS}
        shares["pool"] = self._shares(np.ones(len(folds), dtype=bool))
        deviations = [abs(shares["test"][name] - shares["pool"][name]) for name in self._task.classes]
        compared = {} if unit_of is None else {"random_units": random_units}
        return {
            "task": self._task.name,
            "min_count": self._min_count,
            "smoothing": self._smoothing,
            "valid_with": valid_with,
            **compared,
            "num_words": len(self._table.words),
            "word_label_divergence_bits": {
                "this_split": _number(split_divergence(self._table, shifted, self._smoothing)),
                "standard_folds": self._standard_divergence,
                "random_mean": _number(mean),
                "random_std": _number(std),
            },
            "valid_divergence_bits": self._within_side(folds, valid_with),
            "random_seeds": list(RANDOM_SEEDS),
            "label_shares": shares,
            "max_label_share_deviation": _number(max(deviations)),
            "words_per_utterance": {fold: self._mean_words(folds == fold) for fold in FOLDS},
            "vocabulary": self._vocabulary(folds),
            "videos": self._videos(folds),
            "near_duplicates": self._near_duplicates(folds),
            "text_probe": self._text_probe(folds, unit_of),
            "top_words": self._top_words(shifted),
        }

    @cached_property
    def _videos_of(self) -> NDArray[np.int64]:
        """The video of every utterance (N,), numbered from 0."""
        return np.unique(self._pool["video_id"].to_numpy(dtype=str), return_inverse=True)[1]

    def _shares(self, chosen: NDArray[np.bool_]) -> dict[str, Any]:
        """Share of every class by name."""
        counts = np.bincount(self._classes[chosen], minlength=self._task.num_classes)
        names = self._task.classes
        return {name: _number(n / max(counts.sum(), 1)) for name, n in zip(names, counts, strict=True)}

    def _mean_words(self, chosen: NDArray[np.bool_]) -> float | None:
        return _number(float(self._words.running.lengths[chosen].mean()) if chosen.any() else np.nan)

    @cached_property
    def _standard_folds(self) -> Folds | None:
        """The standard folds of the pool, where each utterance has one."""
        folds = self._pool["fold"].to_numpy(dtype=str)
        return folds if set(folds) == set(FOLDS) else None

    @cached_property
    def _standard_divergence(self) -> float | None:
        if self._standard_folds is None:
            return None
        return _number(split_divergence(self._table, self._standard_folds == "test", self._smoothing))

    def _within_side(self, folds: Folds, valid_with: str) -> dict[str, Any]:
        """Divergence between validation and its own side, with that of random splits of the two together."""
        rows = np.flatnonzero((folds == valid_with) | (folds == "valid"))
        table = WordTable.build(
            self._words.take(rows), self._classes[rows], self._task.num_classes, self._min_count
        )
        in_valid = folds[rows] == "valid"
        mean, std = random_divergence(table, int(in_valid.sum()), self._smoothing)
        this_split = split_divergence(table, in_valid, self._smoothing)
        return {"this_split": _number(this_split), "random_mean": _number(mean), "random_std": _number(std)}

    def _vocabulary(self, folds: Folds) -> dict[str, Any]:
        """How much of the test text is known from train: distinct words, and running words."""
        known = np.zeros(len(self._words.vocabulary), dtype=bool)
        known[self._words.running.take(np.flatnonzero(folds == "train")).values] = True
        running = self._words.running.take(np.flatnonzero(folds == "test")).values
        distinct = np.unique(running)
        return {
            "test_vocabulary_in_train": _number(known[distinct].sum() / max(len(distinct), 1)),
            "test_oov_rate": _number((~known[running]).sum() / max(len(running), 1)),
        }

    def _videos(self, folds: Folds) -> dict[str, Any]:
        """How many videos (speakers) of the test fold are in train or valid too."""
        videos = self._pool["video_id"].to_numpy(dtype=str)
        of_test = set(videos[folds == "test"])
        return {
            "num_test": len(of_test),
            "num_test_in_train_or_valid": len(of_test & set(videos[folds != "test"])),
        }

    def _near_duplicates(self, folds: Folds) -> dict[str, Any]:
        """Test utterances whose words are nearly those of one in train or valid."""
        found = near_duplicates(self._words, np.flatnonzero(folds == "test"), np.flatnonzero(folds != "test"))
        ids = self._pool["id"].iloc[found].tolist()
        return {"min_jaccard": THRESHOLD, "min_words": MIN_WORDS, "num_test": len(ids), "ids": sorted(ids)}

    def _text_probe(self, folds: Folds, unit_of: NDArray[np.int64] | None) -> dict[str, Any]:
        """Accuracy of a bag of words on train, on test, and where nothing was shifted."""
        train, test = np.flatnonzero(folds == "train"), np.flatnonzero(folds == "test")
        standard = self._standard_folds
        return {
            "model": "logistic regression on bags of words",
            "metric": "acc2" if self._task.name == "binary" else "acc7",
            "cross_validated_on_train": _accuracy(cross_validated(self._probe, train, self._classes)),
            "test": _accuracy(self._probe(train, test)),
            "standard_folds": None if standard is None else self._standard_accuracy,
            **self._random_accuracy(len(train), len(test), unit_of),
        }

    @cached_property
    def _standard_accuracy(self) -> float | None:
        folds = self._pool["fold"].to_numpy(dtype=str)
        return _accuracy(self._probe(np.flatnonzero(folds == "train"), np.flatnonzero(folds == "test")))

    def _random_accuracy(
        self, num_train: int, num_test: int, unit_of: NDArray[np.int64] | None
    ) -> dict[str, Any]:
        """The probe on random splits of the same sizes (of whole units: of about the same)."""
        key = num_train, num_test, unit_of is None
        if key not in self._random:
            values = []
            for seed in PROBE_SEEDS:
                both = np.flatnonzero(random_side(len(self._classes), num_train + num_test, seed, unit_of))
                test = random_side(len(both), num_test, seed, None if unit_of is None else unit_of[both])
                values.append(self._probe(both[~test], both[test]))
            self._random[key] = {
                "random_mean": _accuracy(float(np.mean(values))),
                "random_std": _accuracy(float(np.std(values, ddof=1))),
            }
        return self._random[key]

    def _top_words(self, shifted: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """The words with the largest n_w * JSD_w above zero, ties in alphabetical order."""
        table = self._table
        shifted_counts = table.counts_in(shifted)
        weighted = weighted_divergences(shifted_counts, table.counts, table.prior, self._smoothing)
        weights = word_weights(table, self._smoothing)
        sides = {"shifted": shifted_counts, "rest": table.counts - shifted_counts}
        order = np.lexsort((np.arange(len(weighted)), -np.round(weighted, 9)))[:NUM_TOP_WORDS]
        top = []
        for i in order[weighted[order] > 0]:
            entry = {"word": table.words[i], "divergence_bits": _number(weighted[i] / weights[i])}
            for side, counts in sides.items():
                entry[f"num_{side}"] = int(counts[i].sum())
                shares = counts[i] / max(counts[i].sum(), 1)
                entry[f"{side}_shares"] = {
                    name: _number(share) for name, share in zip(self._task.classes, shares, strict=True)
                }
            top.append(entry)
        return top


def stated_comparison(shift: dict[str, Any]) -> dict[str, str]:
    """The options of ``ShiftMeter.measure`` that gave the measures of a manifest."""
    return {
        "valid_with": str(shift.get("valid_with", "train")),
        "random_units": str(shift.get("random_units", "utterance")),
    }


def deviations_above_random(shift: dict[str, Any]) -> float | None:
    """How many standard deviations of random splits the divergence lies above their mean; None: undefined."""
    bits = shift["word_label_divergence_bits"]
    if bits["this_split"] is None or not bits["random_std"]:
        return None
    return float((bits["this_split"] - bits["random_mean"]) / bits["random_std"])


def _number(value: float) -> float | None:
    """Six decimals, so that equal splits give equal bytes; NaN is null."""
    return None if np.isnan(value) else round(float(value), 6)


def _accuracy(value: float) -> float | None:
    """An accuracy of a probe with fewer decimals; NaN is null."""
    return None if np.isnan(value) else round(float(value), NUM_DECIMALS)
