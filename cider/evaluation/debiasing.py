"""Counterfactual debiasing of class scores, and the choice of its strength (method sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cider.evaluation.metrics import Array, auilc, score
from mer_data.errors import RunError
from mer_data.tasks import Task

TAU_GRID: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(31))
_EQUAL = 1e-12


def debiased(factual: Array, counterfactual: Array, tau: float) -> NDArray[np.floating]:
    """``factual - tau * counterfactual``: what the counterfactual text alone predicts is taken away.

    Args:
        factual: class scores (N, C), P(Y|do(l)).
        counterfactual: class scores (N, C) of the counterfactual texts, P(Y|do(l_cf)).
        tau: strength; 0 leaves the factual scores.

    Raises:
        RunError: the shapes differ.
    """
    if np.shape(factual) != np.shape(counterfactual):
        raise RunError(
            "factual and counterfactual scores differ in shape",
            found=np.shape(counterfactual),
            expected=np.shape(factual),
        )
    return np.asarray(factual) - tau * np.asarray(counterfactual)


def choose_tau(
    by_rate: Mapping[float, tuple[Array, Array]],
    labels: Array,
    task: Task,
    metric: str,
    grid: tuple[float, ...] = TAU_GRID,
) -> float:
    """The strength with the best metric on the given data, of equally good ones the weakest.

    The caller gives validation data: a choice on the data that is scored is the ``paper`` protocol.

    Args:
        by_rate: for every missing rate the factual and counterfactual scores, (N, C) each. With several
            rates the metric's AUILC over them is compared, with one the metric itself.
        labels: real sentiment (N,) in [-3, 3], the same utterances at every rate.
        task: the task that the columns belong to.
        metric: a metric of the task (``cider.evaluation.metrics.metric_names``).
        grid: strengths to try.

    Raises:
        RunError: no rate, no strength, an unknown metric, scores of a wrong shape, or a metric that no
            utterance counts for.
    """
    if not by_rate or not grid:
        raise RunError("nothing to choose tau from", found=f"{len(by_rate)} rates, {len(grid)} strengths")
    best_tau, best_value = None, -np.inf
    for tau in sorted(grid, key=abs):
        value = _value_over_rates(by_rate, labels, task, metric, tau)
        if value > best_value + _EQUAL:
            best_tau, best_value = tau, value
    if best_tau is None:
        raise RunError(
            f'"{metric}" is undefined on the data to choose tau from',
            found=f"no utterance of its group among {len(labels)}",
            do="Choose tau on another fold or by another metric",
        )
    return best_tau


def _value_over_rates(
    by_rate: Mapping[float, tuple[Array, Array]], labels: Array, task: Task, metric: str, tau: float
) -> float:
    """The metric of debiased scores: its area over the rates, or its value at the only one."""
    rates = sorted(by_rate)
    values = [score(debiased(*by_rate[rate], tau), labels, task, metric) for rate in rates]
    return values[0] if len(rates) == 1 else auilc(rates, values)
