"""What the two halves of MACI do to the answers of a run, and what a stronger debiasing would.

The causal module is asked twice, with classes as at test (equal priors, mean of the class means) and as in
training (their priors, each with its own means); counterfactual texts are answered alone, and subtracted at
every strength tau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cider.debiasing.causal_head import CausalHead
from cider.figures.trained import LoadedRun
from cider.prediction.sweep import Progress
from cider.reports.tables import METRIC_TITLES
from cider.scoring.conditions import condition_of
from cider.scoring.metrics import score
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL
from cider.scoring.subtraction import TAU_GRID, best_strengths, require_strength, tau_curves
from mer_data.errors import RunError
from mer_data.files.writing import write_json
from mer_data.reports.charts.lines import line_chart

FOLDS = ("valid", "test")


@dataclass(frozen=True)
class FoldEffect:
    """One fold; shares in [0, 1].

    Attributes:
        answered: the metric without debiasing.
        as_in_training: with classes as in training; None without a causal module.
        counterfactual: of the answers to the counterfactual texts alone, and
        correlation: of their class probabilities with the factual ones (Pearson's, over classes together,
            each less its mean over the fold), and
        by_tau: the metric at every strength of ``TAU_GRID``; all three None without counterfactual texts.
    """

    answered: float
    as_in_training: float | None
    counterfactual: float | None = None
    correlation: float | None = None
    by_tau: tuple[float, ...] | None = None


@dataclass(frozen=True)
class DebiasingEffect:
    """What ``explain_debiasing`` found.

    Attributes:
        run: its folder.
        rate: missing rate of the recipe's pattern.
        metric: what chooses tau.
        folds: by name, "valid" and "test".
        tau: what validation chooses at this rate alone; None without counterfactual texts.
    """

    run: Path
    rate: float
    metric: str
    folds: dict[str, FoldEffect]
    tau: float | None

    @property
    def best_on_test(self) -> tuple[float, float] | None:
        """The best strength on the labels of test and its metric: what debiasing could give at most."""
        curve = self.folds["test"].by_tau
        if curve is None:
            return None
        tau, value = best_strengths(np.array(curve))
        return float(tau), float(value)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        best = self.best_on_test
        return {
            "run": str(self.run),
            "rate": self.rate,
            "metric": self.metric,
            "tau_grid": list(TAU_GRID),
            "folds": {name: vars(fold) for name, fold in self.folds.items()},
            "tau_of_validation": self.tau,
            "best_on_test": best and {"tau": best[0], self.metric: best[1]},
        }

    def lines(self) -> list[str]:
        """A small table for a terminal, in percent."""
        rows: dict[str, Sequence[float | None]] = {
            "without debiasing": [fold.answered for fold in self._in_order],
            "classes as in training": [fold.as_in_training for fold in self._in_order],
            "counterfactual text alone": [fold.counterfactual for fold in self._in_order],
        }
        if self.tau is not None:
            at = TAU_GRID.index(self.tau)
            rows[f"tau {self.tau:.1f} of validation"] = [
                fold.by_tau[at] if fold.by_tau else None for fold in self._in_order
            ]
        lines = [
            f"{METRIC_TITLES[self.metric]} (%) at missing rate {self.rate:g}".ljust(36) + "  valid   test"
        ]
        lines += [f"  {name:34}" + "".join(_percent(value) for value in row) for name, row in rows.items()]
        if self.best_on_test is not None:
            tau, value = self.best_on_test
            lines += [
                f"  {f'best tau on test ({tau:.1f})':34}{'-':>7}{_percent(value)}",
                f"  {'correlation of both texts':34}"
                + "".join(
                    f"{'-' if fold.correlation is None else format(fold.correlation, '.2f'):>7}"
                    for fold in self._in_order
                ),
            ]
        return lines

    @property
    def _in_order(self) -> list[FoldEffect]:
        return [self.folds[name] for name in FOLDS]

    def write(self, stem: str | Path) -> list[Path]:
        """Write ``stem`` as JSON, and the curves over tau as PNG and PDF where there are any; the paths."""
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        curves = {name: fold.by_tau for name, fold in self.folds.items() if fold.by_tau is not None}
        paths = []
        if curves:
            paths = line_chart(
                {
                    name: [(tau, value, None) for tau, value in zip(TAU_GRID, curve, strict=True)]
                    for name, curve in curves.items()
                },
                x_label="tau, strength of debiasing (0: off)",
                y_label=f"{METRIC_TITLES[self.metric]} (%)",
                title=f"{self.run.resolve().name}, missing rate {self.rate:g}: validation chooses"
                f" tau = {self.tau:.1f}",
                path_stem=stem,
                percent=True,
            )
        facts = stem.with_name(f"{stem.name}.json")
        write_json(facts, self.to_json())
        return [*paths, facts]


def explain_debiasing(
    path: str | Path, *, rate: float = 0.0, progress: Progress | None = None
) -> DebiasingEffect:
    """Measure what the halves of MACI do on validation and test.

    Args:
        path: a trained run whose model.maci is not none.
        rate: missing rate, of the pattern and the first mask seed of the recipe's evaluation.
        progress: called with the folds done and all.

    Raises:
        MerDataError: no run, one without MACI, an impossible rate, or no utterance counts in a fold.
    """
    path = Path(path)
    run = LoadedRun.open(path)
    recipe, task = run.experiment.recipe, run.experiment.task
    if recipe.model.maci == "none":
        raise RunError(
            "the run has nothing to debias with", where=path, found="model.maci=none",
            do="Name a run with model.maci label, language or both",
        )  # fmt: skip
    metric = recipe.evaluation.tau_metric or ("acc2" if task.name == "binary" else "acc7")
    folds = {}
    for name in FOLDS:
        folds[name] = _effect(run, name, rate, metric)
        if progress is not None:
            progress(len(folds), len(FOLDS))
    curve, tau = folds["valid"].by_tau, None
    if curve is not None:
        labels = run.experiment.store.utterances["label"].to_numpy()[run.experiment.rows["valid"]]
        tau = require_strength(float(best_strengths(np.array(curve))[0]), metric, labels)
    return DebiasingEffect(path, rate, metric, folds, tau)


def _effect(run: LoadedRun, name: str, rate: float, metric: str) -> FoldEffect:
    """Measure one fold."""
    recipe, task = run.experiment.recipe, run.experiment.task
    settings = recipe.evaluation
    fold = run.fold(name, counterfactual=recipe.model.debiases_language)
    views = fold.predict(settings.pattern, rate, settings.mask_seed)
    factual, labels = views[FACTUAL], fold.labels
    answered = score(factual, labels, task, metric)
    as_in_training = None
    if isinstance(run.model.head, CausalHead):
        joint = fold.joint_condition(condition_of(settings.pattern, rate, settings.mask_seed))
        as_in_training = score(_as_in_training(run, run.model.head, joint), labels, task, metric)
    if not recipe.model.debiases_language:
        return FoldEffect(answered, as_in_training)
    counterfactual = views[COUNTERFACTUAL]
    curve = tau_curves(factual[None], counterfactual[None], labels, task, [metric], space=settings.debiasing)[
        metric
    ][:, 0]
    return FoldEffect(
        answered,
        as_in_training,
        score(counterfactual, labels, task, metric),
        _correlation(factual, counterfactual),
        tuple(curve.tolist()),
    )


def _as_in_training(run: LoadedRun, head: CausalHead, joint: NDArray[np.float64]) -> NDArray[np.float64]:
    with torch.inference_mode():
        answer: NDArray[np.float64] = (
            head(torch.from_numpy(joint).float().to(run.device), intervention="training")
            .double()
            .exp()
            .cpu()
            .numpy()
        )
    return answer


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Pearson's, over all utterances and classes, each class less its mean; None where one does not vary."""
    first, second = ((values - values.mean(axis=0)).ravel() for values in (one, other))
    length = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / length if length > 0 else None


def _percent(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{100 * value:7.1f}"
