import dataclasses
import json
import math

import numpy as np
import pytest
from training_helpers import equal, make_trainer, snapshot

from cider.prediction.engine import FoldPredictor
from cider.scoring.metrics import scores
from cider.scoring.prediction_frame import FACTUAL
from cider.training.trainer import TrainingResult
from mer_data.errors import RunError


def scripted(monkeypatch, trainer, values):
    """Make validation give ``values`` of acc3, one per epoch; the weights of every epoch are noted."""
    script, weights = iter(values), []

    def scores_of_epoch(*_):
        weights.append(snapshot(trainer.model))
        return {"acc3": next(script)}

    monkeypatch.setattr("cider.training.validation.scores", scores_of_epoch)
    return weights


@pytest.mark.parametrize(
    ("values", "best", "epochs", "reason"),
    [
        ([0.1, 0.3, 0.3, 0.2, 0.9], 2, 4, "patience"),
        ([0.1, 0.3, 0.2, 0.4, 0.4], 4, 5, "max_epochs"),
        ([0.5, math.nan, 0.2], 1, 3, "patience"),
    ],
)
def test_the_best_epoch_is_kept_and_patience_ends(
    home, make_recipe, tmp_path, monkeypatch, values, best, epochs, reason
):
    recipe = make_recipe(
        "training.max_epochs=5", "training.patience=2", "training.batch_size=60", "selection.metric=acc3"
    )
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    weights = scripted(monkeypatch, trainer, values)
    result = trainer.fit()
    assert (result.best_epoch, result.epochs, result.reason) == (best, epochs, reason)
    assert result.best_score == values[best - 1]
    assert json.loads(run.result_path.read_text(encoding="utf-8")) == dataclasses.asdict(result)
    run.load_weights(trainer.model)
    assert equal(snapshot(trainer.model), weights[best - 1])
    assert not equal(weights[best - 1], weights[-1] if best < epochs else weights[0])


def test_without_any_score_there_is_no_result(home, make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe("training.max_epochs=3", "training.patience=1", "selection.metric=acc3")
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    scripted(monkeypatch, trainer, [math.nan] * 3)
    with pytest.raises(RunError, match=r"no epoch had a validation acc3 .* Choose another selection\.metric"):
        trainer.fit()
    assert not run.result_path.exists()


@pytest.mark.parametrize("metric", ["loss", "f1"])
def test_selection_is_the_mean_over_its_rates(home, make_recipe, tmp_path, metric):
    recipe = make_recipe(f"selection.metric={metric}", "selection.rates=[0, 0.5, 1]")
    trainer, experiment, run = make_trainer(recipe, tmp_path / "run")
    result = trainer.fit()
    predictor = FoldPredictor(trainer.model, experiment, "valid", batch_size=3)
    losses, tables = [], []
    for rate in (0.0, 0.5, 1.0):
        probabilities = predictor.predict("rmfm", rate, 0)[FACTUAL]
        truth = np.sign(predictor.labels).astype(int) + 1
        losses.append(
            np.mean([-math.log(row[index]) for row, index in zip(probabilities, truth, strict=True)])
        )
        tables.append(scores(probabilities, predictor.labels, experiment.task))
    expected = {name: np.mean([table[name] for table in tables]) for name in tables[0]}
    expected["loss"] = np.mean(losses)
    logged = run.read_log()[0]
    assert logged["valid"] == pytest.approx(expected, rel=1e-4)
    chosen = [predictor.predict("rmfm", rate, 0)[FACTUAL].argmax(axis=1) for rate in (0.0, 0.5, 1.0)]
    shares = [np.mean(np.array(chosen) == index) for index in range(3)]
    assert list(logged["answers"]) == ["negative", "neutral", "positive"]
    assert list(logged["answers"].values()) == pytest.approx(shares)
    assert logged["answers"] == result.answers
    assert logged["score"] == result.best_score == (-1 if metric == "loss" else 1) * logged["valid"][metric]


@pytest.mark.parametrize(
    ("answers", "only"),
    [
        ({"negative": 0.0, "positive": 1.0}, "positive"),
        ({"negative": 0.5, "positive": 0.5}, None),
        ({}, None),
    ],
)
def test_a_model_with_one_answer_has_not_learned(answers, only):
    assert TrainingResult(1, 0.5, 2, "patience", answers).only_answer == only
