"""Scores of predictions: accuracies, weighted F1, and their area over missing rates (method section 6).

Shapes: N utterances, C classes. Nothing here knows the model: class scores and real labels are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from mer_data.errors import RunError
from mer_data.tasks import Task, TaskName

Array = NDArray[np.floating]
Classes = NDArray[np.int64]

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
    answers = _answers(probabilities, labels, task)
    result = {}
    for accuracy_name, f1_name, group in _GROUPS[task.name]:
        predicted, truth = group(*answers)
        result[accuracy_name] = _accuracy(predicted, truth)
        result[f1_name] = _weighted_f1(predicted, truth)
    return result


def score(probabilities: Array, labels: Array, task: Task, metric: str) -> float:
    """One metric of ``scores``, without computing the others.

    Raises:
        RunError: as ``scores``, or the task has no such metric.
    """
    answers = _answers(probabilities, labels, task)
    for accuracy_name, f1_name, group in _GROUPS[task.name]:
        if metric == accuracy_name:
            return _accuracy(*group(*answers))
        if metric == f1_name:
            return _weighted_f1(*group(*answers))
    raise RunError(
        f'the task "{task.name}" has no metric "{metric}"', expected=" or ".join(metric_names(task))
    )


def metric_names(task: Task) -> list[str]:
    """Names of the metrics of a task, in the order of ``scores``."""
    return [name for accuracy_name, f1_name, _ in _GROUPS[task.name] for name in (accuracy_name, f1_name)]


def auilc(rates: Sequence[float], values: Sequence[float]) -> float:
    """Area under the indicators line chart: trapezoid area of a metric over missing rates (P eq. 31).

    Args:
        rates: missing rates, increasing.
        values: the metric at every rate; a NaN among them makes the area NaN.

    Raises:
        RunError: fewer than two rates, rates that do not increase, or another number of values.
    """
    x, y = np.asarray(rates, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise RunError(
            "no area without two rates or more, each with a value",
            found=f"{x.size} rates and {y.size} values",
            do="Evaluate at two missing rates or more",
        )
    if not (np.diff(x) > 0).all():
        raise RunError("missing rates do not increase", found=x.tolist(), expected="increasing rates")
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)))


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (divisor n - 1); NaN where there are too few values for them."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean()) if array.size else float("nan")
    return mean, float(array.std(ddof=1)) if array.size > 1 else float("nan")


def _answers(probabilities: Array, labels: Array, task: Task) -> tuple[Array, Array, Classes]:
    """Checked scores (N, C), labels (N,) and true classes (N,)."""
    scores_NC, labels_N = np.asarray(probabilities), np.asarray(labels)
    if labels_N.ndim != 1 or scores_NC.shape != (len(labels_N), task.num_classes):
        raise RunError(
            f'predictions do not fit the task "{task.name}"',
            found=f"scores {scores_NC.shape} and labels {labels_N.shape}",
            expected=f"(N, {task.num_classes}) and (N,)",
        )
    if not (np.isfinite(scores_NC).all() and np.isfinite(labels_N).all()):
        raise RunError("a score or label is not finite", do="Look for a training run that diverged")
    return scores_NC, labels_N, task.class_of(labels_N)


def _not_neutral(scores_NC: Array, labels: Array, truth: Classes) -> tuple[Classes, Classes]:
    """Predicted and true class of the utterances whose label is not zero."""
    kept = labels != 0
    return scores_NC[kept].argmax(axis=1), truth[kept]


def _has_zero(scores_NC: Array, labels: Array, truth: Classes) -> tuple[Classes, Classes]:
    """0 for negative and 1 for non-negative, predicted and true."""
    return (scores_NC[:, _POSITIVE] > scores_NC[:, _NEGATIVE]).astype(np.int64), (labels >= 0).astype(
        np.int64
    )


def _all_classes(scores_NC: Array, labels: Array, truth: Classes) -> tuple[Classes, Classes]:
    """Predicted and true class of every utterance."""
    return scores_NC.argmax(axis=1), truth


_Group = Callable[[Array, Array, Classes], tuple[Classes, Classes]]
_GROUPS: dict[TaskName, tuple[tuple[str, str, _Group], ...]] = {
    "binary": (
        ("acc2", "f1", _not_neutral),
        ("acc2_has0", "f1_has0", _has_zero),
        ("acc3", "f1_3", _all_classes),
    ),
    "seven": (("acc7", "f1_7", _all_classes),),
}


def _accuracy(predicted: Classes, truth: Classes) -> float:
    """Share of right answers; NaN of none."""
    return float((predicted == truth).mean()) if len(truth) else float("nan")


def _weighted_f1(predicted: Classes, truth: Classes) -> float:
    """F1 averaged over the true classes by their number of utterances; NaN of none."""
    if not len(truth):
        return float("nan")
    return float(f1_score(truth, predicted, average="weighted", zero_division=0))
