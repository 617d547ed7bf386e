"""Text probes: what a linear model that reads the text alone loses on the test side of a split.

Accuracy is over non-neutral utterances for the task ``binary`` (Acc2), over all for ``seven`` (Acc7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.words import Tokens
from mer_data.tasks import Task

NUM_FOLDS = 5
MIN_UTTERANCES = 2
"""Training utterances that a word must occur in to be a feature."""
NUM_DECIMALS = 4
"""Enough to tell one utterance of a test fold from the next."""

Probe = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def bag_of_words_probe(tokens: Tokens, classes: NDArray[np.int64], task: Task) -> Probe:
    """Logistic regression on which words occur in a text (words of at least two training texts).

    Args:
        tokens: words of every utterance of the pool (N).
        classes: their classes (N,).
        task: gives the metric.

    Returns:
        A function of training and test rows: the accuracy on test, NaN where nothing can be learned.
    """
    texts = np.empty(len(tokens), dtype=object)
    texts[:] = tokens

    def fitted(train: NDArray[np.int64]) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.pipeline import make_pipeline

        words = CountVectorizer(analyzer=_as_they_are, binary=True, min_df=min(MIN_UTTERANCES, len(train)))
        return make_pipeline(words, _regression())

    return _probe(texts, classes, task, fitted)


def embedding_probe(embeddings: NDArray[np.floating], classes: NDArray[np.int64], task: Task) -> Probe:
    """Logistic regression on sentence embeddings (N, d), each brought to length 1."""

    def fitted(train: NDArray[np.int64]) -> Any:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer

        return make_pipeline(Normalizer(), _regression())

    return _probe(np.asarray(embeddings, dtype=np.float64), classes, task, fitted)


def cross_validated(
    probe: Probe, rows: NDArray[np.int64], classes: NDArray[np.int64], *, seed: int = 0
) -> float:
    """Mean accuracy of a probe over five folds of ``rows``: what the text tells where nothing shifts."""
    fold = np.empty(len(rows), dtype=np.int64)
    order = np.lexsort((np.random.default_rng(seed).permutation(len(rows)), classes[rows]))
    fold[order] = np.arange(len(rows)) % NUM_FOLDS
    values = [probe(rows[fold != number], rows[fold == number]) for number in range(NUM_FOLDS)]
    return float(np.mean(values))


def _probe(
    features: NDArray[Any],
    classes: NDArray[np.int64],
    task: Task,
    model_for: Callable[[NDArray[np.int64]], Any],
) -> Probe:
    """Fit on training rows, score on test rows; neutral utterances have no sign and are left out of Acc2."""
    scored = classes != 1 if task.name == "binary" else np.ones(len(classes), dtype=bool)

    def accuracy(train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
        train, test = train[scored[train]], test[scored[test]]
        if len(np.unique(classes[train])) < 2 or not len(test):
            return float("nan")
        model = model_for(train)
        with _one_thread():
            try:
                model.fit(features[train], classes[train])
            except ValueError:  # no word in two texts: nothing to learn from
                return float("nan")
            return float((model.predict(features[test]) == classes[test]).mean())

    return accuracy


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of linear algebra depend on the number of threads; with one the answer is always the same."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def _regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _as_they_are(words: list[str]) -> list[str]:
    return words
