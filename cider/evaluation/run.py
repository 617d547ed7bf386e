"""Evaluating a run: predictions, scores and report, in that order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cider.evaluation.report import write_report
from cider.evaluation.sweep import SweepScores, predict_sweep, score_sweep
from cider.run_folder import open_run
from mer_data.errors import RecipeError


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        run: folder of the run.
        report: folder of the report.
        scores: test metrics.
    """

    run: Path
    report: Path
    scores: SweepScores


def evaluate_run(
    path: Path,
    *,
    pattern: str | None = None,
    rates: tuple[float, ...] | None = None,
    mask_seed: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict, score and report one run; what is not given is the recipe's.

    Args:
        path: run folder.
        pattern: missing pattern.
        rates: missing rates, rising.
        mask_seed: seed of the masks.
        progress: called with the rates done and in total.
    """
    run, experiment = open_run(path)
    recipe = experiment.recipe
    settings = recipe.evaluation
    chosen_pattern = pattern or settings.pattern
    seed = settings.mask_seed if mask_seed is None else mask_seed
    table = predict_sweep(
        run,
        experiment,
        pattern=chosen_pattern,
        rates=rates or settings.rates,
        mask_seed=seed,
        progress=progress,
    )
    scores = score_sweep(table, experiment.task, settings.tau_metric)
    folder = run.report_folder(chosen_pattern, seed)
    write_report(folder, scores, recipe, run.read_provenance(), chosen_pattern, seed)
    return Evaluation(path, folder, scores)


def parse_rates(text: str) -> tuple[float, ...]:
    """Missing rates from "0,0.5,1".

    Raises:
        RecipeError: not numbers, not rising, or outside [0, 1].
    """
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or any(not 0 <= rate <= 1 for rate in rates) or list(rates) != sorted(set(rates)):
        raise RecipeError(
            "not a list of missing rates", found=repr(text), expected="rising numbers in [0, 1], as 0,0.5,1"
        )
    return rates
