"""Scores of a sweep by two protocols, from the same predictions (method section 6).

``strict``: tau is chosen on validation, the causal head takes the means of training, and test labels decide
nothing. ``paper``: for every metric, rate and mask seed the best tau on the scored test labels, and means of
the evaluated split with its labels, as published numbers were made. ``paper`` is shown next to ``strict`` and
never alone.

Letters: P points of a sweep, S mask seeds, K conditions, T strengths, N utterances, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cider.scoring.conditions import AUILC, SweepPlan
from cider.scoring.metrics import score_many
from cider.scoring.names import Debiasing
from cider.scoring.prediction_frame import EVALUATED_MEANS, FoldPredictions, SweepPredictions
from cider.scoring.subtraction import best_strengths, debiased, require_strength, tau_curves
from mer_data.errors import RunError
from mer_data.tasks import Task

Values = NDArray[np.float64]


@dataclass(frozen=True)
class MetricTable:
    """Metrics at the points of a sweep.

    Attributes:
        plan: the sweep.
        values: for every metric (P, S); NaN where no utterance counts.
    """

    plan: SweepPlan
    values: dict[str, Values]

    @cached_property
    def means(self) -> dict[str, list[float]]:
        """Mean over the mask seeds at every point."""
        return {name: table.mean(axis=1).tolist() for name, table in self.values.items()}

    @cached_property
    def deviations(self) -> dict[str, list[float]]:
        """Sample standard deviation over the mask seeds at every point; NaN for a single seed."""
        return {name: _deviation(table).tolist() for name, table in self.values.items()}

    @cached_property
    def areas(self) -> dict[str, Values]:
        """``SweepPlan.area`` for every mask seed (S,)."""
        return {name: self.plan.area(table) for name, table in self.values.items()}

    @cached_property
    def mean_areas(self) -> dict[str, float]:
        """Mean of ``areas`` over the mask seeds."""
        return {name: float(area.mean()) for name, area in self.areas.items()}

    @cached_property
    def area_deviations(self) -> dict[str, float]:
        """Sample standard deviation of ``areas`` over the mask seeds; NaN for a single seed."""
        return {name: float(_deviation(area)) for name, area in self.areas.items()}


@dataclass(frozen=True)
class PaperScores:
    """What the protocol ``paper`` would have claimed.

    Attributes:
        table: its scores.
        taus: for every metric the strengths (P, S); None without counterfactual text.
        means: whose class means the causal head took.
    """

    table: MetricTable
    taus: dict[str, Values] | None
    means: str


@dataclass(frozen=True)
class SweepScores:
    """Test scores of one sweep.

    Attributes:
        plan: the sweep.
        task: its task.
        tau: debiasing strength chosen on validation; None without counterfactual text.
        tau_metric: the metric that chose it.
        debiasing: where the counterfactual is subtracted.
        without: scores without counterfactual text, by the strict protocol.
        strict: the model's own answer, debiased where it has counterfactual text, by the strict protocol.
        paper: the same by the protocol ``paper``.
        answers: the strict class scores (K, N, C) of the test utterances.
        notes: what a reader must know about undefined values.
    """

    plan: SweepPlan
    task: Task
    tau: float | None
    tau_metric: str
    debiasing: Debiasing
    without: MetricTable
    strict: MetricTable
    paper: PaperScores
    answers: Values
    notes: tuple[str, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """Missing rates, rising; none for SMM."""
        return self.plan.rates

    @property
    def plain(self) -> dict[str, list[float]]:
        """Metric to one value per point, without counterfactual text."""
        return self.without.means

    @property
    def debiased(self) -> dict[str, list[float]] | None:
        """The same at ``tau``; None without counterfactual text."""
        return None if self.tau is None else self.strict.means

    @property
    def final(self) -> dict[str, list[float]]:
        """The model's own answer: debiased where it has counterfactual text."""
        return self.strict.means

    def to_json(self) -> dict[str, Any]:
        """Plain values with null for NaN. Paper values stand beside the strict ones, in the same objects."""
        area = self.plan.area_name
        value = {
            "pattern": self.plan.pattern,
            "points": [point.label for point in self.plan.points],
            "rates": list(self.rates),
            "mask_seeds": list(self.plan.mask_seeds),
            "debiasing": self.debiasing,
            "tau": self.tau,
            "tau_metric": self.tau_metric,
            "plain": self.plain,
            "debiased": self.debiased,
            "deviation_over_mask_seeds": self.strict.deviations,
            "auilc": self.strict.mean_areas if area == AUILC else None,
            "area": None if area is None else self._area_json(area),
            "protocols": {name: self._both(name) for name in self.strict.values},
            "notes": list(self.notes),
        }
        return {name: without_nan(item) for name, item in value.items()}

    def _area_json(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "over": [self.rates[0], self.rates[-1]] if self.rates else [p.label for p in self.plan.points],
            "values": self.strict.mean_areas,
            "deviation_over_mask_seeds": self.strict.area_deviations,
            "plain": self.without.mean_areas,
        }

    def _both(self, name: str) -> dict[str, Any]:
        """Both protocols of one metric, and how far they are apart."""
        strict, paper = np.array(self.strict.means[name]), np.array(self.paper.table.means[name])
        taus = self.paper.taus
        areas = self.strict.mean_areas[name], self.paper.table.mean_areas[name]
        return {
            "strict": strict.tolist(),
            "paper": paper.tolist(),
            "difference": (paper - strict).tolist(),
            "strict_tau": self.tau,
            "paper_taus": None if taus is None else taus[name].tolist(),
            "paper_means": self.paper.means,
            "area": None
            if self.plan.area_name is None
            else {"strict": areas[0], "paper": areas[1], "difference": areas[1] - areas[0]},
        }


def score_sweep(
    predictions: SweepPredictions, *, tau_metric: str | None = None, debiasing: Debiasing = "probability"
) -> SweepScores:
    """Score test predictions; tau is chosen on the validation predictions of the same sweep.

    Args:
        predictions: of one sweep.
        tau_metric: metric whose area (at one rate: value) on validation, averaged over the mask seeds,
        chooses
            tau; None: acc2 for binary, acc7 for seven.
        debiasing: where to subtract.

    Raises:
        RunError: a fold is empty, or the metric is undefined on validation, so that it can choose nothing.
    """
    plan, task, test = predictions.plan, predictions.task, predictions.test
    if not test.ids:
        raise RunError("the test fold has no utterances", do="Evaluate on a split that has some")
    metric = tau_metric or ("acc2" if task.name == "binary" else "acc7")
    factual, counterfactual = test.scores(test.own_means)
    without = _table(plan, factual, test, task)
    paper = _paper(plan, test, task, debiasing)
    notes = tuple(_undefined(test, task, without))
    if counterfactual is None:
        return SweepScores(plan, task, None, metric, debiasing, without, without, paper, factual, notes)
    tau = _strict_tau(plan, predictions.valid, task, metric, debiasing)
    answers = np.asarray(debiased(factual, counterfactual, tau, debiasing))
    strict = _table(plan, answers, test, task)
    return SweepScores(plan, task, tau, metric, debiasing, without, strict, paper, answers, notes)


def _strict_tau(
    plan: SweepPlan, valid: FoldPredictions, task: Task, metric: str, debiasing: Debiasing
) -> float:
    if not valid.ids:
        raise RunError(
            "the validation fold has no utterances to choose tau from", do="Give a split that has some"
        )
    factual, counterfactual = valid.scores(valid.own_means)
    if counterfactual is None:
        raise RunError("validation was predicted without counterfactual text", do="Evaluate the run again")
    curve = tau_curves(factual, counterfactual, valid.labels, task, [metric], space=debiasing)[metric]
    by_point = np.moveaxis(curve[:, plan.index], 0, -1)  # (P, S, T)
    values = plan.area(by_point).mean(axis=0)
    return require_strength(float(best_strengths(values)[0]), metric, valid.labels)


def _paper(plan: SweepPlan, test: FoldPredictions, task: Task, debiasing: Debiasing) -> PaperScores:
    """The best strength on the test labels, for every metric and condition on its own."""
    has_own = any(means == EVALUATED_MEANS for _, means in test.views)
    means = EVALUATED_MEANS if has_own else test.own_means
    factual, counterfactual = test.scores(means)
    if counterfactual is None:
        return PaperScores(_table(plan, factual, test, task), None, means)
    curves = tau_curves(factual, counterfactual, test.labels, task, space=debiasing)
    best = {name: best_strengths(curve) for name, curve in curves.items()}
    table = MetricTable(plan, {name: value[plan.index] for name, (_, value) in best.items()})
    return PaperScores(table, {name: tau[plan.index] for name, (tau, _) in best.items()}, means)


def _table(plan: SweepPlan, scores_KNC: Values, fold: FoldPredictions, task: Task) -> MetricTable:
    values = score_many(scores_KNC, fold.labels, task)
    return MetricTable(plan, {name: value[:, 0][plan.index] for name, value in values.items()})


def _undefined(test: FoldPredictions, task: Task, table: MetricTable) -> list[str]:
    """Metrics without a value and classes without an utterance, told in words."""
    counts = np.bincount(task.class_of(test.labels), minlength=task.num_classes)
    empty = [name for name, count in zip(task.classes, counts, strict=True) if not count]
    notes = []
    if empty:
        notes.append(
            f"The test fold has no utterance of class {', '.join(empty)}: weighted F1 leaves such a class"
            " out, and predicting it is always wrong."
        )
    undefined = [name for name, values in table.values.items() if np.isnan(values).any()]
    if undefined:
        notes.append(
            f"{', '.join(undefined)}: undefined, because no test utterance belongs to the group that the"
            " metric counts; null in JSON, a dash in tables."
        )
    return notes


def _deviation(values: Values) -> Values:
    """Sample standard deviation over the last axis; NaN for a single value."""
    if values.shape[-1] < 2:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values.std(axis=-1, ddof=1))


def without_nan(value: Any) -> Any:
    """``value`` with null for NaN, which JSON does not have: a metric of an empty group."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
