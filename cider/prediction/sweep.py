"""A sweep: predicting what is not predicted yet, with one encoding of every text and two heads."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from cider.debiasing.causal_head import CausalHead
from cider.prediction.engine import FoldPredictor, best_device, check_alignment
from cider.prediction.masks import SCHEME
from cider.prediction.target import OpenTarget, Target, saved_target
from cider.prediction.text_cache import TextFeatureCache
from cider.recipe.settings import EvaluationPrecision
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.runs.state import WEIGHTS, read_digests, recorded_digest
from cider.scoring.conditions import Condition, SweepPlan
from cider.scoring.prediction_frame import (
    SCORED_FOLDS,
    TARGET,
    Identity,
    Prediction,
    PredictionFolder,
    SweepPredictions,
    collect,
)
from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import sha256_text
from mer_data.progress import Progress
from mer_data.statistics.class_statistics import ClassStatistics, class_statistics
from mer_data.tasks import get_task
from mer_data.text.encoder import TextEncoder

_AGAIN = "Make them again with `cider evaluate RUN`, without --report-only"


def predict_sweep(
    run: RunFolder,
    experiment: Experiment,
    plan: SweepPlan,
    *,
    on: OpenTarget | None = None,
    precision: EvaluationPrecision = "float32",
    force: bool = False,
    progress: Progress | None = None,
) -> SweepPredictions:
    """Predict validation and test in every condition of ``plan`` and save the tables.

    Tables that are there already and belong to exactly this are used; what is missing or of something else is
    predicted.

    Args:
        run: has the checkpoint, gets the tables.
        experiment: the run's.
        plan: the sweep.
        on: whose test fold; None: that of the run's own split. Validation is always the run's own.
        precision: of the computations.
        force: predict everything again.
        progress: called with the conditions predicted and to predict.

    Raises:
        MerDataError: the pattern does not fit the data, or an input is missing.
        DamagedRunError: weights or tables are damaged or were changed; with ``force`` tables are made again.
    """
    check_alignment(plan.pattern, experiment)
    sealed = read_digests(run.path) is not None
    folder = PredictionFolder(run.path / "predictions", experiment.task, on.name if on else None, sealed)
    own = _identity(run, experiment, precision)
    identities = {"valid": own, "test": {**own, **on.identity} if on else own}
    missing = {
        fold: [
            condition
            for condition in plan.conditions
            if force or not _is_there(folder, condition, fold, identities[fold])
        ]
        for fold in SCORED_FOLDS
    }
    if any(missing.values()):
        experiments = {"valid": experiment, "test": on.experiment if on else experiment}
        _predict(run, experiments, folder, missing, identities, precision, progress)
    return collect(folder, plan, identities)


def load_sweep(
    run: RunFolder,
    plan: SweepPlan,
    *,
    on: Target | None = None,
    precision: EvaluationPrecision = "float32",
) -> SweepPredictions:
    """The tables of a sweep that was predicted before; neither model nor data are needed.

    Raises:
        RunError: no run, a table is missing, or belongs to something else than the run.
    """
    recipe, recorded = run.read_recipe(), run.read_provenance()
    expected = {
        "store": str(recorded.get("store_digest")),
        "split": str(recorded.get("split_digest")),
        "task": recipe.task,
        "masks": SCHEME,
        "precision": precision,
    }
    sealed = recorded_digest(run.path, WEIGHTS)
    if run.checkpoint_path.is_file():
        expected["checkpoint"] = run.weights_digest()
    elif sealed is not None:
        expected["checkpoint"] = sealed
    target = None if on is None else saved_target(run.path, on)
    folder = PredictionFolder(run.path / "predictions", get_task(recipe.task), target, sealed is not None)
    of_test = expected if target is None else {**expected, TARGET: target}
    return collect(folder, plan, {"valid": expected, "test": of_test}, do=_AGAIN)


def evaluated_statistics(experiment: Experiment, encoder: TextEncoder, fold: str = "test") -> ClassStatistics:
    """Class statistics as of training, but of another fold with its labels (for the protocol ``paper``)."""
    splits = experiment.split.splits
    exchanged = replace(experiment.split, splits={**splits, "train": splits[fold], fold: splits["train"]})
    return class_statistics(experiment.store, exchanged, experiment.task, encoder)


def _identity(run: RunFolder, experiment: Experiment, precision: str) -> Identity:
    """Return everything that decides predictions, as digests."""
    kept = experiment.kept_token_ids().tolist() if experiment.recipe.model.debiases_language else None
    return {
        "checkpoint": run.weights_digest(),
        "store": experiment.store.content_digest,
        "split": experiment.split.digest,
        "task": experiment.task.name,
        "vocabulary": "none" if kept is None else sha256_text(",".join(map(str, kept))),
        "masks": SCHEME,
        "precision": precision,
    }


def _is_there(folder: PredictionFolder, condition: Condition, fold: str, identity: Identity) -> bool:
    """Return whether a table of exactly this exists.

    Raises:
        DamagedRunError: there is a table, and it is damaged or was changed.
    """
    try:
        return folder.read(condition, fold)[1] == identity
    except DamagedRunError:
        raise
    except RunError:
        return False


def _predict(
    run: RunFolder,
    experiments: dict[str, Experiment],
    folder: PredictionFolder,
    missing: dict[str, list[Condition]],
    identities: dict[str, Identity],
    precision: EvaluationPrecision,
    progress: Progress | None,
) -> None:
    experiment = experiments["valid"]
    recipe = experiment.recipe
    device = best_device()
    model = experiment.build_model()
    evaluated = None
    if isinstance(model.head, CausalHead) and missing["test"]:
        # Before the checkpoint is loaded: class means are of the frozen encoder.
        evaluated = evaluated_statistics(experiments["test"], cast(TextEncoder, model.text_encoder))
    run.load_weights(model)
    model.to(device)
    kept = experiment.kept_token_ids() if recipe.model.debiases_language else None
    done, total = 0, sum(map(len, missing.values()))
    for fold, conditions in missing.items():
        if not conditions:
            continue
        predictor = FoldPredictor(
            model,
            experiments[fold],
            fold,
            device=device,
            kept_token_ids=kept,
            precision=precision,
        )
        texts = TextFeatureCache(model.text_encoder, pad_id=experiment.special.pad)
        for condition in conditions:
            views = predictor.predict_condition(
                condition, texts=texts, evaluated=evaluated if fold == "test" else None
            )
            labels = predictor.labels.astype(float)
            prediction = Prediction(predictor.ids, predictor.videos, labels, views)
            folder.write(condition, fold, prediction, identities[fold])
            done += 1
            if progress is not None:
                progress(done, total)
