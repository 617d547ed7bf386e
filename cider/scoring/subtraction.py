"""Counterfactual debiasing of class scores, and the choice of its strength (method sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from cider.scoring.metrics import Array, areas, score_many
from cider.scoring.names import Debiasing
from mer_data.errors import RunError
from mer_data.tasks import Task

TAU_GRID: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(31))
_EQUAL = 1e-12
_TINY = np.finfo(np.float64).tiny


def debiased(
    factual: Array, counterfactual: Array, tau: float, space: Debiasing = "probability"
) -> NDArray[np.floating]:
    """``factual - tau * counterfactual``: what the counterfactual text alone predicts is taken away.

    Args:
        factual: class probabilities (..., N, C), P(Y|do(l)).
        counterfactual: class probabilities of the counterfactual texts, P(Y|do(l_cf)).
        tau: strength; 0 leaves the order of the factual scores.
        space: subtract probabilities (the paper's formula), or their logarithms (the released
            implementation).

    Raises:
        RunError: the shapes differ.
    """
    if np.shape(factual) != np.shape(counterfactual):
        raise RunError(
            "factual and counterfactual scores differ in shape",
            found=np.shape(counterfactual),
            expected=np.shape(factual),
        )
    if space == "log":
        return np.log(np.maximum(factual, _TINY)) - tau * np.log(np.maximum(counterfactual, _TINY))
    return np.asarray(factual) - tau * np.asarray(counterfactual)


def tau_curves(
    factual_KNC: Array,
    counterfactual_KNC: Array,
    labels: Array,
    task: Task,
    metrics: Collection[str] | None = None,
    *,
    grid: tuple[float, ...] = TAU_GRID,
    space: Debiasing = "probability",
) -> dict[str, NDArray[np.float64]]:
    """Metrics of K conditions at every strength: for each metric (T, K), T = len(grid).

    Raises:
        RunError: scores of a wrong shape, or an unknown metric.
    """
    rows = [
        score_many(debiased(factual_KNC, counterfactual_KNC, tau, space), labels, task, metrics)
        for tau in grid
    ]
    return {name: np.stack([row[name][:, 0] for row in rows]) for name in rows[0]}


def best_strengths(
    values: NDArray[np.float64], grid: tuple[float, ...] = TAU_GRID
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every column the weakest of the best strengths and its value; NaN for both in a column of NaN.

    Args:
        values: (T, ...) a value per strength of ``grid``.
        grid: the strengths (T,).

    Returns:
        Strengths (...) and values (...).
    """
    order = np.argsort(np.abs(grid), kind="stable")
    ordered = np.where(np.isnan(values), -np.inf, values)[order]
    best = ordered.max(axis=0)
    first = np.argmax(ordered >= best - _EQUAL, axis=0)
    undefined = np.isneginf(best)
    chosen = np.asarray(grid, dtype=np.float64)[order][first]
    value = np.take_along_axis(ordered, first[None], axis=0)[0]
    return np.where(undefined, np.nan, chosen), np.where(undefined, np.nan, value)


def require_strength(tau: float, metric: str, labels: Array) -> float:
    """``tau``, unless the metric that chooses it had no utterance to choose on.

    Raises:
        RunError: it is NaN.
    """
    if np.isnan(tau):
        raise RunError(
            f'"{metric}" is undefined on the data to choose tau from',
            found=f"no utterance of its group among {len(labels)}",
            do="Choose tau on another fold or by another metric",
        )
    return float(tau)


def choose_tau(
    by_rate: Mapping[float, tuple[Array, Array]],
    labels: Array,
    task: Task,
    metric: str,
    grid: tuple[float, ...] = TAU_GRID,
    space: Debiasing = "probability",
) -> float:
    """The strength with the best metric on the given data, of equally good ones the weakest.

    The caller gives validation data: a choice on the data that is scored is the ``paper`` protocol.

    Args:
        by_rate: for every missing rate the factual and counterfactual scores, (N, C) each. With several
            rates the metric's area over them is compared, with one the metric itself.
        labels: real sentiment (N,) in [-3, 3], the same utterances at every rate.
        task: the task that the columns belong to.
        metric: a metric of the task (``cider.scoring.metrics.metric_names``).
        grid: strengths to try.
        space: where to subtract.

    Raises:
        RunError: no rate, no strength, an unknown metric, scores of a wrong shape, or a metric that no
            utterance counts for.
    """
    if not by_rate or not grid:
        raise RunError("nothing to choose tau from", found=f"{len(by_rate)} rates, {len(grid)} strengths")
    rates = sorted(by_rate)
    factual, counterfactual = (np.stack([by_rate[rate][view] for rate in rates]) for view in (0, 1))
    curve = tau_curves(factual, counterfactual, labels, task, [metric], grid=grid, space=space)[metric]
    values = curve[:, 0] if len(rates) == 1 else areas(rates, curve.T)
    return require_strength(float(best_strengths(values, grid)[0]), metric, labels)
