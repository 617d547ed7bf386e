"""Scores on the validation fold, which decide when training stops and which epoch is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cider.models.backbone_model import SentimentModel
from cider.prediction.engine import FoldPredictor
from cider.runs.experiment import Experiment
from cider.scoring.metrics import scores
from cider.scoring.prediction_frame import FACTUAL
from cider.training.distributed import Processes
from mer_data.errors import RunError


@dataclass(frozen=True)
class ValidationResult:
    """A model on the validation fold; means over the selection's rates.

    Attributes:
        values: every metric and the loss.
        score: what the selection looks at; higher is better.
        answers: share of each class among the answers.
    """

    values: dict[str, float]
    score: float
    answers: dict[str, float]


class Validation:
    """Measures a model as the recipe's selection asks; every process predicts its share of the fold."""

    def __init__(self, model: SentimentModel, experiment: Experiment, processes: Processes) -> None:
        """Read this process's share of the fold."""
        rows = experiment.rows["valid"]
        self._experiment, self._processes = experiment, processes
        own, _ = processes.shard_or_dummy(rows.tolist())
        self._predictor = FoldPredictor(
            model,
            replace(experiment, rows={**experiment.rows, "valid": np.array(own, dtype=np.int64)}),
            "valid",
            device=processes.device,
        )
        self._labels: NDArray[np.float32] = (
            experiment.store.utterances["label"].iloc[rows].to_numpy(np.float32)
        )
        self._classes = experiment.task.class_of(self._labels)

    def measure(self) -> ValidationResult:
        """Predict the fold at every rate of the selection.

        Raises:
            RunError: the task has no such metric as the selection names.
        """
        selection, names = self._experiment.recipe.selection, self._experiment.task.classes
        probabilities = [self._predict(rate) for rate in selection.rates]
        by_rate = [self._measure(one) for one in probabilities]
        means = {name: float(np.mean([values[name] for values in by_rate])) for name in by_rate[0]}
        if selection.metric not in means:
            raise RunError(
                f"task {self._experiment.task.name!r} has no metric {selection.metric!r}",
                expected=", ".join(means),
            )
        score = -means["loss"] if selection.metric == "loss" else means[selection.metric]
        answers = np.concatenate([one.argmax(axis=1) for one in probabilities])
        shares = np.bincount(answers, minlength=len(names)) / len(answers)
        return ValidationResult(means, score, dict(zip(names, shares.tolist(), strict=True)))

    def _predict(self, rate: float) -> NDArray[np.float32]:
        """(N, C) class probabilities of the whole fold."""
        settings = self._experiment.recipe.evaluation
        with self._processes.fail_together():
            own = self._predictor.predict(settings.pattern, rate, settings.mask_seed)[FACTUAL]
        whole: NDArray[np.float32] = self._processes.gather_shards(
            torch.from_numpy(own), len(self._labels)
        ).numpy()
        return whole

    def _measure(self, probabilities: NDArray[np.float32]) -> dict[str, float]:
        values = scores(probabilities, self._labels, self._experiment.task)
        chosen = probabilities[np.arange(len(self._classes)), self._classes]
        return {**values, "loss": float(-np.log(np.maximum(chosen, 1e-12)).mean())}
