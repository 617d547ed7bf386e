"""Scores of predictions: accuracies, weighted F1, and their area over missing rates (method section 6).

Nothing here knows the model: class scores and real labels are enough. Letters: N utterances, C classes, X
sets of predictions for the same utterances, R weightings of the utterances (resamples of a bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import RunError
from mer_data.tasks import Task, TaskName

Array = NDArray[np.floating]
Classes = NDArray[np.int64]
Mask = NDArray[np.bool_]

_NEGATIVE, _POSITIVE = 0, 2


def scores(probabilities: Array, labels: Array, task: Task) -> dict[str, float]:
    """All metrics of a task, as shares in [0, 1]; NaN for a metric whose group has no utterance.

    - ``acc2``, ``f1`` (binary): utterances that are not neutral, arg-max over the three classes, so that
      a neutral answer is wrong.
    - ``acc2_has0``, ``f1_has0`` (binary): negative against non-negative truth, arg-max over the columns
      negative and positive.
    - ``acc3``, ``f1_3`` (binary) and ``acc7``, ``f1_7`` (seven): all utterances, all classes.

    F1 is weighted by the number of utterances of each true class. Of equal scores the first class wins.

    Args:
        probabilities: class scores (N, C); debiased ones may be negative.
        labels: real sentiment (N,) in [-3, 3].
        task: the task that the columns belong to.

    Raises:
        RunError: the shapes do not fit, or a value is not finite.
    """
    values = score_many(np.asarray(probabilities)[None], labels, task)
    return {name: float(value[0, 0]) for name, value in values.items()}


def score(probabilities: Array, labels: Array, task: Task, metric: str) -> float:
    """One metric of ``scores``, without computing the others.

    Raises:
        RunError: as ``scores``, or the task has no such metric.
    """
    return float(score_many(np.asarray(probabilities)[None], labels, task, [metric])[metric][0, 0])


def score_many(
    scores_XNC: Array,
    labels: Array,
    task: Task,
    metrics: Collection[str] | None = None,
    weights_RN: Array | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Metrics of several sets of predictions at once, under several weightings of the utterances.

    Args:
        scores_XNC: class scores (X, N, C).
        labels: real sentiment (N,) in [-3, 3].
        task: the task that the columns belong to.
        metrics: names of ``metric_names``; None: all.
        weights_RN: how often each utterance counts, (R, N); None: each once (R = 1).

    Returns:
        For every metric (X, R); NaN where the utterances of its group have no weight.

    Raises:
        RunError: as ``score``.
    """
    scores_XNC, labels_N, truth_N = _checked(scores_XNC, labels, task)
    wanted = metric_names(task) if metrics is None else list(metrics)
    for name in wanted:
        if name not in metric_names(task):
            raise RunError(
                f'the task "{task.name}" has no metric "{name}"', expected=" or ".join(metric_names(task))
            )
    weights = np.ones((1, len(labels_N))) if weights_RN is None else np.asarray(weights_RN, dtype=np.float64)
    result = {}
    for accuracy_name, f1_name, group in _GROUPS[task.name]:
        if accuracy_name not in wanted and f1_name not in wanted:
            continue
        member_N, predicted_XN, group_truth_N = group(scores_XNC, labels_N, truth_N)
        answers = predicted_XN[:, member_N], group_truth_N[member_N], weights[:, member_N].T
        if accuracy_name in wanted:
            result[accuracy_name] = _accuracy(*answers)
        if f1_name in wanted:
            result[f1_name] = _weighted_f1(*answers)
    return {name: result[name] for name in wanted}


def right_answers(probabilities: Array, labels: Array, task: Task, metric: str) -> tuple[Mask, Mask]:
    """Which utterances count for an accuracy (N,), and which of them are right (N,).

    Raises:
        RunError: as ``scores``, or the metric is no accuracy of the task.
    """
    scores_XNC, labels_N, truth_N = _checked(np.asarray(probabilities)[None], labels, task)
    for accuracy_name, _, group in _GROUPS[task.name]:
        if metric == accuracy_name:
            member, predicted, truth = group(scores_XNC, labels_N, truth_N)
            return member, member & (predicted[0] == truth)
    raise RunError(
        f'the task "{task.name}" has no accuracy "{metric}"', expected=" or ".join(accuracy_names(task))
    )


def metric_names(task: Task) -> list[str]:
    """Names of the metrics of a task, in the order of ``scores``."""
    return [name for accuracy_name, f1_name, _ in _GROUPS[task.name] for name in (accuracy_name, f1_name)]


def accuracy_names(task: Task) -> list[str]:
    """Those of ``metric_names`` that count right answers."""
    return [accuracy_name for accuracy_name, _, _ in _GROUPS[task.name]]


def auilc(rates: Sequence[float], values: Sequence[float] | Array) -> float:
    """Area under the indicators line chart: trapezoid area of a metric over missing rates (P eq. 31).

    Args:
        rates: missing rates, increasing.
        values: the metric at every rate; a NaN among them makes the area NaN.

    Raises:
        RunError: fewer than two rates, rates that do not increase, or another number of values.
    """
    return float(areas(rates, np.asarray(values, dtype=np.float64).reshape(len(values))))


def areas(rates: Sequence[float], values: Array) -> NDArray[np.float64]:
    """``auilc`` of several metrics at once: over axis 0 of ``values`` (rates, ...), giving (...).

    Raises:
        RunError: as ``auilc``.
    """
    x, y = np.asarray(rates, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) != len(y) or len(x) < 2:
        raise RunError(
            "no area without two rates or more, each with a value",
            found=f"{x.size} rates and {len(y)} values",
            do="Evaluate at two missing rates or more",
        )
    steps = np.diff(x)
    if not (steps > 0).all():
        raise RunError("missing rates do not increase", found=x.tolist(), expected="increasing rates")
    return np.asarray(np.tensordot(steps, (y[1:] + y[:-1]) / 2, axes=1))


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (divisor n - 1); NaN where there are too few values for them."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean()) if array.size else float("nan")
    return mean, float(array.std(ddof=1)) if array.size > 1 else float("nan")


def _checked(scores_XNC: Array, labels: Array, task: Task) -> tuple[Array, Array, Classes]:
    """Scores (X, N, C), labels (N,) and true classes (N,), if they fit each other and are finite."""
    values, labels_N = np.asarray(scores_XNC), np.asarray(labels)
    if labels_N.ndim != 1 or values.ndim != 3 or values.shape[1:] != (len(labels_N), task.num_classes):
        raise RunError(
            f'predictions do not fit the task "{task.name}"',
            found=f"scores {values.shape[1:]} and labels {labels_N.shape}",
            expected=f"(N, {task.num_classes}) and (N,)",
        )
    if not (np.isfinite(values).all() and np.isfinite(labels_N).all()):
        raise RunError("a score or label is not finite", do="Look for a training run that diverged")
    return values, labels_N, task.class_of(labels_N)


def _not_neutral(scores_XNC: Array, labels: Array, truth: Classes) -> tuple[Mask, Classes, Classes]:
    """Utterances whose label is not zero; arg-max over all classes."""
    return labels != 0, scores_XNC.argmax(axis=-1), truth


def _has_zero(scores_XNC: Array, labels: Array, truth: Classes) -> tuple[Mask, Classes, Classes]:
    """All utterances; 0 for negative and 1 for non-negative."""
    predicted = (scores_XNC[..., _POSITIVE] > scores_XNC[..., _NEGATIVE]).astype(np.int64)
    return np.ones(len(labels), dtype=bool), predicted, (labels >= 0).astype(np.int64)


def _all_classes(scores_XNC: Array, labels: Array, truth: Classes) -> tuple[Mask, Classes, Classes]:
    """All utterances and classes."""
    return np.ones(len(labels), dtype=bool), scores_XNC.argmax(axis=-1), truth


_Group = Callable[[Array, Array, Classes], tuple[Mask, Classes, Classes]]
"""Which utterances count (N,), what is predicted for each (X, N), and what is true (N,)."""
_GROUPS: dict[TaskName, tuple[tuple[str, str, _Group], ...]] = {
    "binary": (
        ("acc2", "f1", _not_neutral),
        ("acc2_has0", "f1_has0", _has_zero),
        ("acc3", "f1_3", _all_classes),
    ),
    "seven": (("acc7", "f1_7", _all_classes),),
}


def _accuracy(predicted_XN: Classes, truth_N: Classes, weights_NR: Array) -> NDArray[np.float64]:
    """Share of right answers (X, R)."""
    return _share((predicted_XN == truth_N).astype(np.float64) @ weights_NR, weights_NR.sum(axis=0))


def _weighted_f1(predicted_XN: Classes, truth_N: Classes, weights_NR: Array) -> NDArray[np.float64]:
    """F1 averaged over the true classes by their weight (X, R); a class never predicted has 0."""
    shape = len(predicted_XN), weights_NR.shape[1]
    total = np.zeros(shape)
    for index in np.unique(truth_N):
        true, said = truth_N == index, predicted_XN == index
        weight = true.astype(np.float64) @ weights_NR
        hits = (said & true).astype(np.float64) @ weights_NR
        pairs = said.astype(np.float64) @ weights_NR + weight
        total += weight * np.divide(2 * hits, pairs, out=np.zeros(shape), where=pairs > 0)
    return _share(total, weights_NR.sum(axis=0))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """``part`` (X, R) of ``whole`` (R,); NaN of nothing."""
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))
