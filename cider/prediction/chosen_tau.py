"""The debiasing strength of a run, chosen on its validation fold, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch

from cider.models.backbone_model import SentimentModel
from cider.prediction.engine import FoldPredictor
from cider.prediction.sweep import load_sweep
from cider.prediction.text_cache import TextFeatureCache
from cider.recipe.schema import load_recipe
from cider.recipe.settings import EvaluationSettings
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.scoring.conditions import SweepPlan
from cider.scoring.prediction_frame import FoldPredictions, SweepPredictions
from cider.scoring.protocols import score_sweep
from mer_data.errors import DamagedRunError, MerDataError, RunError
from mer_data.progress import Progress


@dataclass(frozen=True)
class Tau:
    """Debiasing strength.

    Attributes:
        value: tau; 0 leaves the factual answer.
        source: where it came from, for a person.
    """

    value: float
    source: str


def given_tau(value: float) -> Tau:
    """A strength that the caller chose.

    Raises:
        RunError: negative or not finite.
    """
    if not isinstance(value, Real) or not 0 <= value < float("inf"):
        raise RunError("tau is no strength", found=repr(value), expected="a number from 0 on")
    return Tau(float(value), "given")


def tau_of_run(
    run: RunFolder,
    model: SentimentModel,
    kept_token_ids: tuple[int, ...],
    *,
    device: torch.device | str,
    progress: Progress | None = None,
) -> Tau:
    """The strength that validation chooses for a run, by its recipe's ``evaluation``.

    From the predictions that ``cider evaluate`` saved; without them chosen now, on the validation fold alone,
    when the data that the run was trained on are there; otherwise 0.

    Args:
        run: of the model; it has counterfactual text.
        model: trained.
        kept_token_ids: counterfactual vocabulary.
        device: where the model is.
        progress: called with the conditions predicted and to predict.

    Raises:
        RunError: the metric of the choice is undefined on the validation fold.
        DamagedRunError: the saved predictions, or files of the run, are damaged or were changed.
    """
    settings = load_recipe(run.recipe_path).evaluation
    plan = SweepPlan.from_settings(settings.pattern, settings.rates, settings.mask_seeds)
    try:
        saved = load_sweep(run, plan, precision=settings.precision)
    except DamagedRunError:
        raise
    except RunError:  # not evaluated, not in full, or of another checkpoint
        saved = None
    if saved is not None:
        return Tau(_chosen_by(saved, settings), "chosen on validation by the run's evaluation")
    try:
        _, experiment = open_run(run.path)
    except DamagedRunError:
        raise
    except MerDataError as error:
        reason = str(error).removesuffix(".")
        return Tau(
            0.0,
            "no debiasing, as validation could not choose a strength: the run has not been evaluated, and its"
            f" data are not here ({reason})",
        )
    valid = _validation(model, experiment, plan, kept_token_ids, device, progress)
    # The scores of a test fold are not asked for.
    both = SweepPredictions(plan, experiment.task, valid=valid, test=valid, identity={})
    return Tau(_chosen_by(both, settings), f"chosen now on the run's {len(valid.ids)} validation utterances")


def _chosen_by(predictions: SweepPredictions, settings: EvaluationSettings) -> float:
    scores = score_sweep(predictions, tau_metric=settings.tau_metric, debiasing=settings.debiasing)
    if scores.tau is None:
        raise ValueError("the predictions have no counterfactual view")
    return scores.tau


def _validation(
    model: SentimentModel,
    experiment: Experiment,
    plan: SweepPlan,
    kept_token_ids: tuple[int, ...],
    device: torch.device | str,
    progress: Progress | None,
) -> FoldPredictions:
    """The validation fold in every condition of the plan."""
    kept = np.array(kept_token_ids, dtype=np.int64)
    predictor = FoldPredictor(model, experiment, "valid", device=device, kept_token_ids=kept)
    texts = TextFeatureCache(model.text_encoder, pad_id=experiment.special.pad)
    answers = []
    for condition in plan.conditions:
        answers.append(predictor.predict_condition(condition, texts=texts))
        if progress is not None:
            progress(len(answers), len(plan.conditions))
    views = {view: np.stack([answer[view] for answer in answers]) for view in answers[0]}
    return FoldPredictions(predictor.ids, predictor.videos, predictor.labels.astype(np.float64), views)
