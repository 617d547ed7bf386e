"""The bias model: what the words of the counterfactual vocabulary say of the class, and nothing else.

A logistic regression on which words of the vocabulary occur in a text (Clark et al. 2019; He et al. 2019).
Debiasing by a product of experts needs its probabilities for the utterances of training. A regression is too
sure of an utterance that it was fitted on, so these come from five folds: every utterance is judged by a
regression that was fitted on the other four.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import StatisticsError
from mer_data.files.writing import read_json, write_json
from mer_data.splits import SplitManifest
from mer_data.splits.shift.probes import balanced_folds, one_thread, text_regression
from mer_data.statistics.integrity import StatisticsFile, json_digest
from mer_data.statistics.vocabulary import served_pieces, vocabulary_origin
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task

FORMAT = "mer-data/bias-model"
VERSION = 1
COMMAND = "mer-data bias-model"
NUM_STRONGEST = 10
_DIGITS = 6


@dataclass(frozen=True)
class BiasModel:
    """Class probabilities of the training utterances from the words of the vocabulary alone.

    Attributes:
        task: name of the task.
        ids: training utterances (N,), sorted.
        probabilities: (N, C) out of fold, float64; rows sum to 1.
        prior: share (C,) of each class in training.
        accuracy: by fold ("train" out of fold, "valid", "test") on opinions for binary, on all utterances for
            seven classes; NaN where a fold has none.
        strongest: for every class its words of the greatest weight, with the weight.
        origin: digests of the corpus, the tokenizer, the split and the counterfactual vocabulary.
    """

    task: str
    ids: list[str]
    probabilities: NDArray[np.float64]
    prior: NDArray[np.float64]
    accuracy: dict[str, float]
    strongest: dict[str, list[tuple[str, float]]]
    origin: dict[str, str]

    def save(self, path: str | Path) -> None:
        """Write one JSON file with a digest of its content; it appears only when complete."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "task": self.task,
            "origin": self.origin,
            "accuracy": {
                fold: None if np.isnan(value) else round(value, _DIGITS)
                for fold, value in self.accuracy.items()
            },
            "strongest": self.strongest,
            "prior": self.prior.tolist(),
            "ids": self.ids,
            "probabilities": np.round(self.probabilities, _DIGITS).tolist(),
        }
        write_json(Path(path), content | {"content_digest": json_digest(content)})

    @classmethod
    def load(cls, path: str | Path, *, command: str = COMMAND) -> BiasModel:
        """Read a file of ``save``; where that fails, the error names the ``command`` that makes it.

        Raises:
            StatisticsError: missing, damaged, changed since it was made, or of another format or version.
        """
        path = Path(path)
        known = StatisticsFile(path, "bias model", command)
        known.check_present()
        with known.damage_named():
            content = read_json(path)
            known.check_version((content["format"], content["version"]), (FORMAT, VERSION))
            known.check_digest("content", json_digest(content), content["content_digest"])
            probabilities = np.array(content["probabilities"], dtype=np.float64)
            prior = np.array(content["prior"], dtype=np.float64)
            return cls(
                task=str(content["task"]),
                ids=list(content["ids"]),
                probabilities=probabilities.reshape(len(content["ids"]), len(prior)),
                prior=prior,
                accuracy={
                    fold: float("nan") if value is None else float(value)
                    for fold, value in content["accuracy"].items()
                },
                strongest={
                    name: [(str(word), float(weight)) for word, weight in words]
                    for name, words in content["strongest"].items()
                },
                origin=dict(content["origin"]),
            )

    def check(self, expected: dict[str, str], task: Task, path: Path) -> None:
        """Raise unless it was made from exactly this corpus, split, vocabulary and task."""
        known = StatisticsFile(path, "bias model", COMMAND)
        known.check_task(self.task, task.name)
        known.check_origin(self.origin, expected)


def bias_origin(store: FeatureStore, split: SplitManifest, vocabulary_digest: str) -> dict[str, str]:
    """Return the digests that tie a bias model to what it was made from.

    Args:
        store: texts.
        split: which utterances are in training.
        vocabulary_digest: ``content_digest`` of the counterfactual vocabulary.
    """
    return {**vocabulary_origin(store, split), "vocabulary": vocabulary_digest}


def bias_model(
    store: FeatureStore,
    split: SplitManifest,
    task: Task,
    token_ids: NDArray[np.int64],
    vocabulary_digest: str,
    *,
    seed: int = 0,
) -> BiasModel:
    """Fit a bias model on the words of a counterfactual vocabulary.

    Args:
        store: texts.
        split: which utterances are in training.
        task: how labels become classes.
        token_ids: of the counterfactual vocabulary (K,).
        vocabulary_digest: its ``content_digest``.
        seed: of the five folds.

    Raises:
        StatisticsError: an empty vocabulary, fewer than two classes in training, or a class that one of the
            five folds would not have seen.
    """
    if not len(token_ids):
        raise StatisticsError(
            "the counterfactual vocabulary has no words", do="Make it with a smaller --min-variation"
        )
    rows = split.indices(store.utterances["id"])
    labels = store.utterances["label"].to_numpy()
    classes = {fold: task.class_of(labels[rows[fold]]) for fold in rows}
    occurs = {fold: _occurrences(store, rows[fold], token_ids) for fold in rows}
    train, known = classes["train"], occurs["train"]
    counts = np.bincount(train, minlength=task.num_classes)
    fold_of = balanced_folds(train, seed=seed)
    _check_classes(counts, task, num_folds=int(fold_of.max(initial=0)) + 1)
    probabilities = np.zeros((len(train), task.num_classes))
    with one_thread():
        for number in np.unique(fold_of):
            held_out = fold_of == number
            fitted = text_regression().fit(known[~held_out], train[~held_out])
            probabilities[held_out] = _all_classes(fitted, known[held_out], task)
        whole = text_regression().fit(known, train)
        found = {fold: _all_classes(whole, occurs[fold], task) for fold in rows} | {"train": probabilities}
    order = np.argsort(store.utterances["id"].to_numpy()[rows["train"]], kind="stable")
    return BiasModel(
        task=task.name,
        ids=store.utterances["id"].to_numpy()[rows["train"]][order].tolist(),
        probabilities=probabilities[order],
        prior=counts / counts.sum(),
        accuracy={fold: _accuracy(found[fold], classes[fold], task) for fold in ("train", "valid", "test")},
        strongest=_strongest(whole, [store.tokenizer.vocabulary[i] for i in token_ids], task),
        origin=bias_origin(store, split, vocabulary_digest),
    )


def _check_classes(counts: NDArray[np.int64], task: Task, *, num_folds: int) -> None:
    """Raise where a class is too rare to be in the training part of every fold."""
    present = counts[counts > 0]
    if len(present) < 2 or num_folds < 2:
        raise StatisticsError(
            "the training fold has one class", expected="two or more", do="Take another split"
        )
    if present.min() < 2:
        rare = task.classes[int(np.flatnonzero(counts == present.min())[0])]
        raise StatisticsError(
            f"class {rare} has one training utterance, so that it cannot be judged by others of its class",
            expected="two or more, or none",
            do="Take another split",
        )


def _occurrences(
    store: FeatureStore, rows: NDArray[np.int64], token_ids: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Which words (N, K) occur in the word pieces that a model is served, as 0 and 1."""
    column = np.full(len(store.tokenizer.vocabulary), -1)
    column[token_ids] = np.arange(len(token_ids))
    occurs = np.zeros((len(rows), len(token_ids)))
    for number, pieces in enumerate(served_pieces(store, rows)):
        found = column[pieces]
        occurs[number, found[found >= 0]] = 1.0
    return occurs


def _all_classes(fitted: Any, occurs: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """Probabilities (N, C) of a regression that may not know every class: those have 0."""
    result = np.zeros((len(occurs), task.num_classes))
    if len(occurs):
        result[:, fitted.classes_] = fitted.predict_proba(occurs)
    return result


def _accuracy(probabilities: NDArray[np.float64], classes: NDArray[np.int64], task: Task) -> float:
    """Share of right classes; for binary between negative and positive, of opinions alone."""
    if task.name == "binary":
        columns = [task.classes.index("negative"), task.classes.index("positive")]
        opinion = np.isin(classes, columns)
        right = probabilities[opinion][:, columns].argmax(axis=1) == (classes[opinion] == columns[1])
    else:
        right = probabilities.argmax(axis=1) == classes
    return float(right.mean()) if len(right) else float("nan")


def _strongest(fitted: Any, words: list[str], task: Task) -> dict[str, list[tuple[str, float]]]:
    """For every class the words with the greatest weights."""
    weights = np.asarray(fitted.coef_)
    if len(weights) == 1:  # two classes share one weight per word
        weights = np.concatenate([-weights, weights])
    strongest = {}
    for number, row in zip(fitted.classes_, weights, strict=True):
        order = np.argsort(-row, kind="stable")[:NUM_STRONGEST]
        strongest[task.classes[int(number)]] = [(words[i], round(float(row[i]), 4)) for i in order]
    return strongest
