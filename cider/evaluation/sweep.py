"""A sweep over missing rates: predictions as a table, and every number computed from that table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cider.evaluation.debiasing import choose_tau, debiased
from cider.evaluation.metrics import auilc, scores
from cider.evaluation.predictor import COUNTERFACTUAL, FACTUAL, FoldPredictor
from cider.experiment import Experiment
from cider.run_folder import RunFolder
from mer_data.errors import RunError
from mer_data.files import complete_or_absent
from mer_data.tasks import Task

SCORED_FOLDS = ("valid", "test")
ByRate = dict[float, dict[str, NDArray[np.float64]]]


@dataclass(frozen=True)
class SweepScores:
    """Test metrics of one sweep.

    Attributes:
        rates: missing rates, rising.
        tau: debiasing strength chosen on validation; None without counterfactual text.
        tau_metric: the metric that chose it.
        plain: metric name to one value per rate, without counterfactual text.
        debiased: the same with it, at ``tau``; None without counterfactual text.
    """

    rates: tuple[float, ...]
    tau: float | None
    tau_metric: str
    plain: dict[str, list[float]]
    debiased: dict[str, list[float]] | None

    @property
    def final(self) -> dict[str, list[float]]:
        """The model's own answer: debiased where it has counterfactual text."""
        return self.plain if self.debiased is None else self.debiased

    def areas(self, values: dict[str, list[float]]) -> dict[str, float]:
        """AUILC (paper eq. 31) of every metric over the rates; NaN for a single rate."""
        if len(self.rates) < 2:
            return dict.fromkeys(values, float("nan"))
        return {name: auilc(self.rates, column) for name, column in values.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no NaN, so the metric of an empty group becomes null."""
        value = {
            "rates": list(self.rates),
            "tau": self.tau,
            "tau_metric": self.tau_metric,
            "plain": self.plain,
            "debiased": self.debiased,
            "auilc": self.areas(self.final) if len(self.rates) > 1 else None,
        }
        return {name: without_nan(item) for name, item in value.items()}


def predict_sweep(
    run: RunFolder,
    experiment: Experiment,
    *,
    pattern: str,
    rates: tuple[float, ...],
    mask_seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Predict validation and test at every rate and save the table as Parquet.

    Returns:
        Columns id, split, pattern, rate, mask_seed, view, ``p_<class>`` for every class, label.
    """
    model = experiment.build_model()
    run.load_weights(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    kept = experiment.kept_token_ids() if experiment.recipe.model.debiases_language else None
    parts = []
    for number, fold in enumerate(SCORED_FOLDS):
        predictor = FoldPredictor(
            model,
            experiment,
            fold,
            device=device,
            batch_size=experiment.recipe.evaluation.batch_size,
            kept_token_ids=kept,
        )
        for step, rate in enumerate(rates, start=1):
            for view, probabilities in predictor.predict(pattern, rate, mask_seed).items():
                part = pd.DataFrame({"id": predictor.ids, "split": fold, "pattern": pattern, "rate": rate})
                part = part.assign(mask_seed=mask_seed, view=view)
                for index, name in enumerate(experiment.task.classes):
                    part[f"p_{name}"] = probabilities[:, index]
                parts.append(part.assign(label=predictor.labels))
            if progress is not None:
                progress(number * len(rates) + step, len(SCORED_FOLDS) * len(rates))
    table = pd.concat(parts, ignore_index=True)
    with complete_or_absent(run.predictions_path(pattern, mask_seed)) as partial:
        table.to_parquet(partial, index=False)
    return table


def load_predictions(path: Path) -> pd.DataFrame:
    """A table of ``predict_sweep``.

    Raises:
        RunError: missing or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(
            "no readable predictions", where=path, do="Make them with `cider evaluate RUN`"
        ) from error


def score_sweep(table: pd.DataFrame, task: Task, tau_metric: str | None = None) -> SweepScores:
    """Score test predictions; tau is chosen on the validation predictions of the same sweep.

    Args:
        table: predictions of one pattern and mask seed.
        task: the task of the run.
        tau_metric: metric whose AUILC on validation chooses tau; None: acc2 for binary, acc7 for seven.
    """
    metric = tau_metric or ("acc2" if task.name == "binary" else "acc7")
    valid, test = (_by_rate(table, fold, task) for fold in SCORED_FOLDS)
    labels = {fold: _labels(table, fold) for fold in SCORED_FOLDS}
    rates = tuple(sorted(test))
    plain = _columns([scores(test[rate][FACTUAL], labels["test"], task) for rate in rates])
    if COUNTERFACTUAL not in test[rates[0]]:
        return SweepScores(rates, None, metric, plain, None)
    tau = choose_tau(
        {rate: (views[FACTUAL], views[COUNTERFACTUAL]) for rate, views in valid.items()},
        labels["valid"],
        task,
        metric,
    )
    answers = [debiased(test[rate][FACTUAL], test[rate][COUNTERFACTUAL], tau) for rate in rates]
    return SweepScores(
        rates, tau, metric, plain, _columns([scores(a, labels["test"], task) for a in answers])
    )


def _by_rate(table: pd.DataFrame, fold: str, task: Task) -> ByRate:
    columns = [f"p_{name}" for name in task.classes]
    result: ByRate = {}
    for key, part in table[table["split"] == fold].groupby(["rate", "view"]):
        rate, view = cast(tuple[float, str], key)
        result.setdefault(rate, {})[view] = part.sort_values("id")[columns].to_numpy(np.float64)
    return result


def _labels(table: pd.DataFrame, fold: str) -> NDArray[np.float64]:
    part = table[table["split"] == fold]
    one = part[(part["rate"] == part["rate"].min()) & (part["view"] == FACTUAL)]
    return one.sort_values("id")["label"].to_numpy(np.float64)


def _columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def without_nan(value: Any) -> Any:
    """``value`` with null for NaN, which JSON does not have: a metric of an empty group."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
