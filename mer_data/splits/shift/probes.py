"""Text probes: what a linear model that reads the text alone loses on the test side of a split.

Accuracy is over non-neutral utterances for the task ``binary`` (Acc2), over all for ``seven`` (Acc7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.shift.words import NumberedWords
from mer_data.tasks import Task

NUM_FOLDS = 5
MIN_UTTERANCES = 2
"""Training utterances that a word must occur in to be a feature."""
NUM_DECIMALS = 4
"""Enough to show a difference of one utterance in a test fold."""

Probe = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def bag_of_words_probe(words: NumberedWords, classes: NDArray[np.int64], task: Task) -> Probe:
    """Logistic regression on which words occur in a text (words of at least two training texts).

    Args:
        words: of every utterance of the pool (N).
        classes: their classes (N,).
        task: gives the metric.

    Returns:
        A function of training and test rows: the accuracy on test, NaN where nothing can be learned.
    """
    from scipy.sparse import csr_array

    distinct = words.distinct
    ones = np.ones(len(distinct.values))
    shape = len(words), len(words.vocabulary)
    occurs = csr_array((ones, distinct.values, distinct.offsets), shape=shape)

    def features(train: NDArray[np.int64]) -> Any:
        num_texts = np.bincount(occurs[train].indices, minlength=shape[1])
        return occurs[:, np.flatnonzero(num_texts >= min(MIN_UTTERANCES, max(len(train), 1)))]

    return _probe(features, classes, task)


def embedding_probe(embeddings: NDArray[np.floating], classes: NDArray[np.int64], task: Task) -> Probe:
    """Logistic regression on sentence embeddings (N, d), each brought to length 1."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    directions = np.asarray(embeddings / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)
    return _probe(lambda train: directions, classes, task)


def cross_validated(
    probe: Probe, rows: NDArray[np.int64], classes: NDArray[np.int64], *, seed: int = 0
) -> float:
    """Mean accuracy of a probe over five folds of ``rows``: what the text predicts where nothing shifts."""
    fold = balanced_folds(classes[rows], seed=seed)
    values = [probe(rows[fold != number], rows[fold == number]) for number in range(NUM_FOLDS)]
    return float(np.mean(values))


def balanced_folds(classes: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Return a fold (N,) from 0 to 4 for every utterance, with each class spread evenly over the folds."""
    fold = np.empty(len(classes), dtype=np.int64)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(classes)), classes))
    fold[order] = np.arange(len(classes)) % NUM_FOLDS
    return fold


def _probe(features: Callable[[NDArray[np.int64]], Any], classes: NDArray[np.int64], task: Task) -> Probe:
    """Fit on training rows, score on test rows; neutral utterances have no sign and are left out of Acc2.

    Args:
        features: gives those of all utterances (N, d) by the training rows.
        classes: of all utterances (N,).
        task: gives the metric.
    """
    scored = classes != 1 if task.name == "binary" else np.ones(len(classes), dtype=bool)

    def accuracy(train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
        train, test = train[scored[train]], test[scored[test]]
        if len(np.unique(classes[train])) < 2 or not len(test):
            return float("nan")
        known = features(train)
        if not known.shape[1]:  # no word in two texts: nothing to learn from
            return float("nan")
        with one_thread():
            model = text_regression().fit(known[train], classes[train])
            return float((model.predict(known[test]) == classes[test]).mean())

    return accuracy


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of linear algebra depend on the number of threads; with one the answer is always the same."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def text_regression() -> Any:
    """Return an unfitted logistic regression, as all text probes use it."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)
