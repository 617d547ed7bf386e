"""Evaluating a run: predictions, scores and report, in that order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cider.prediction.sweep import load_sweep, predict_sweep
from cider.prediction.target import Target, open_target
from cider.recipe.schema import Recipe
from cider.recipe.settings import EvaluationPrecision, EvaluationSettings
from cider.reports.evaluate import write_report
from cider.reports.notes import RunFacts, SweepResult
from cider.runs.folder import RunFolder, open_trained
from cider.runs.state import read_result
from cider.scoring.compare import Comparison, compare_runs
from cider.scoring.conditions import SMM, SweepPlan
from cider.scoring.groups import ScoredRun
from cider.scoring.intervals import sweep_intervals
from cider.scoring.names import Debiasing, EvaluationPattern
from cider.scoring.prediction_frame import SweepPredictions
from cider.scoring.protocols import SweepScores, score_sweep
from mer_data.errors import RecipeError, RunError
from mer_data.progress import Progress


@dataclass(frozen=True)
class EvaluationOverrides:
    """What is asked for in place of the recipe's ``evaluation``; None takes the recipe's.

    Attributes:
        pattern: missing pattern.
        rates: missing rates, rising.
        mask_seeds: seeds of the masks.
        debiasing: where the counterfactual is subtracted.
        precision: of the computations.
        resamples: of the bootstrap.
    """

    pattern: EvaluationPattern | None = None
    rates: tuple[float, ...] | None = None
    mask_seeds: tuple[int, ...] | None = None
    debiasing: Debiasing | None = None
    precision: EvaluationPrecision | None = None
    resamples: int | None = None

    def apply_to(self, settings: EvaluationSettings) -> EvaluationSettings:
        """``settings`` with what is chosen.

        Raises:
            RecipeError: rates or mask seeds for a pattern that has neither.
        """
        chosen = {name: value for name, value in vars(self).items() if value is not None}
        result = settings.model_copy(update=chosen)
        if result.pattern == SMM and (self.rates or self.mask_seeds):
            raise RecipeError(
                "pattern smm has its seven cases in place of missing rates, and nothing random",
                do="Leave out --rates and --mask-seeds",
            )
        return result


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        run: folder of the run.
        recipe: what it was trained by.
        report: folder of the report.
        measured: predictions, test scores and their intervals.
    """

    run: Path
    recipe: Recipe
    report: Path
    measured: SweepResult

    @property
    def scores(self) -> SweepScores:
        """Test scores."""
        return self.measured.scores

    @property
    def target(self) -> str | None:
        """Name of the target that was tested on; None: the run's own test fold."""
        return self.measured.predictions.target


def evaluate_run(
    path: str | Path,
    choices: EvaluationOverrides | None = None,
    *,
    on: Target | None = None,
    report_only: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict what is not predicted yet, score and report one run.

    Args:
        path: run folder.
        choices: in place of the recipe's.
        on: whose test fold to predict; None: that of the run's own split.
        report_only: from the saved predictions alone, without model and data.
        force: predict again what is there.
        progress: called with the conditions predicted and to predict.

    Raises:
        MerDataError: no run, or an input is missing or does not fit.
    """
    path = Path(path)
    facts, measured = _measure(path, choices or EvaluationOverrides(), on, report_only, force, progress)
    folder = path / "reports" / (measured.predictions.target or "") / measured.scores.plan.name
    write_report(folder, facts, measured)
    return Evaluation(path, facts.recipe, folder, measured)


def score_run(
    path: str | Path,
    choices: EvaluationOverrides | None = None,
    *,
    on: Target | None = None,
    report_only: bool = False,
    progress: Progress | None = None,
) -> SweepScores:
    """The test scores of one run, as ``evaluate_run`` gives them, without intervals and a report.

    Raises:
        MerDataError: as ``evaluate_run``.
    """
    path = Path(path)
    predicted = _predict(path, choices or EvaluationOverrides(), on, report_only, False, progress)
    return _score(predicted.predictions, predicted.settings)


def compare_evaluated(
    paths: Sequence[str | Path], choices: EvaluationOverrides | None = None, *, on: Target | None = None
) -> Comparison:
    """Compare runs by their saved predictions, all in the sweep of the first run's recipe.

    Args:
        paths: run folders; the others are compared with the first and those of its recipe.
        choices: in place of the first recipe's.
        on: whose test fold they were evaluated on; None: that of their own split.

    Raises:
        MerDataError: no run, no predictions, or runs that cannot be compared.
    """
    runs, settings = load_scored(paths, choices or EvaluationOverrides(), on=on)
    return compare_runs(runs, resamples=settings.resamples)


def load_scored(
    paths: Sequence[str | Path], choices: EvaluationOverrides, *, on: Target | None = None
) -> tuple[list[ScoredRun], EvaluationSettings]:
    """Runs with their scores from saved predictions, and the settings by which all of them were scored.

    Args:
        paths: run folders.
        choices: in place of the first recipe's.
        on: whose test fold they were evaluated on; None: that of their own split.

    Raises:
        MerDataError: no run, or no predictions in the sweep of the first run's recipe.
    """
    if not paths:
        raise RunError("no runs are named", expected="folders of evaluated runs")
    settings = choices.apply_to(RunFolder(Path(paths[0])).read_recipe().evaluation)
    runs: list[ScoredRun] = []
    for path in map(Path, paths):
        recipe = RunFolder(path).read_recipe()
        predictions = load_sweep(RunFolder(path), _plan(settings), on=on, precision=settings.precision)
        scores = _score(predictions, settings)
        runs.append(
            ScoredRun(
                path, recipe.seed, recipe.trained_with(), predictions.identity, predictions.test, scores
            )
        )
    return runs, settings


def _measure(
    path: Path,
    choices: EvaluationOverrides,
    on: Target | None,
    report_only: bool,
    force: bool,
    progress: Progress | None,
) -> tuple[RunFacts, SweepResult]:
    predicted = _predict(path, choices, on, report_only, force, progress)
    run, predictions, settings = predicted.run, predicted.predictions, predicted.settings
    scores = _score(predictions, settings)
    intervals = sweep_intervals(predictions, scores, settings.resamples)
    facts = RunFacts(path.resolve().name, predicted.recipe, run.read_provenance(), read_result(path))
    return facts, SweepResult(predictions, scores, intervals)


@dataclass(frozen=True)
class _Predicted:
    run: RunFolder
    recipe: Recipe
    settings: EvaluationSettings
    predictions: SweepPredictions


def _predict(
    path: Path,
    choices: EvaluationOverrides,
    on: Target | None,
    report_only: bool,
    force: bool,
    progress: Progress | None,
) -> _Predicted:
    if report_only:
        run = RunFolder(path)
        recipe = run.read_recipe()
        run.warn_unfinished()
        settings = choices.apply_to(recipe.evaluation)
        predictions = load_sweep(run, _plan(settings), on=on, precision=settings.precision)
    else:
        run, experiment = open_trained(path)
        recipe = experiment.recipe
        settings = choices.apply_to(recipe.evaluation)
        predictions = predict_sweep(
            run,
            experiment,
            _plan(settings),
            on=None if on is None else open_target(on, experiment),
            precision=settings.precision,
            force=force,
            progress=progress,
        )
    return _Predicted(run, recipe, settings, predictions)


def _plan(settings: EvaluationSettings) -> SweepPlan:
    return SweepPlan.from_settings(settings.pattern, settings.rates, settings.mask_seeds)


def _score(predictions: SweepPredictions, settings: EvaluationSettings) -> SweepScores:
    return score_sweep(predictions, tau_metric=settings.tau_metric, debiasing=settings.debiasing)
