import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cider.prediction.chosen_tau import given_tau
from cider.prediction.engine import FoldPredictor
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.runs.folder import RunFolder, open_run
from cider.scoring.conditions import SweepPlan
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL, PredictionFolder
from cider.scoring.subtraction import choose_tau
from mer_data.errors import RunError
from mer_data.tasks import get_task


def report_of(run):
    return json.loads((run / "reports" / "rmfm-mask0" / "metrics.json").read_text(encoding="utf-8"))


def make_debiasing_useless(run):
    """Let the saved counterfactual predictions of validation be the same for every class."""
    folder = PredictionFolder(run / "predictions", get_task("binary"))
    for condition in SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0,)).conditions:
        saved, identity = folder.read(condition, "valid")
        views = {
            (text, means): table if text == FACTUAL else np.full_like(table, 1 / 3)
            for (text, means), table in saved.views.items()
        }
        folder.write(condition, "valid", replace(saved, views=views), identity)


def test_it_is_the_one_that_the_evaluation_chose(home, trained_run, without_data):
    tau = SentimentPredictor.load(trained_run).tau
    assert tau.value == report_of(trained_run)["tau"]
    assert tau.source == "chosen on validation by the run's evaluation"


def test_it_is_read_from_the_saved_predictions(home, own_run, without_data):
    before = SentimentPredictor.load(own_run).tau
    assert before.value > 0
    make_debiasing_useless(own_run)
    assert SentimentPredictor.load(own_run).tau == replace(before, value=0.0)


def test_without_predictions_validation_chooses_now(home, own_run):
    shutil.rmtree(own_run / "predictions")
    shutil.rmtree(own_run / "reports")
    calls = []
    tau = SentimentPredictor.load(own_run, progress=lambda *at: calls.append(at)).tau
    run, experiment = open_run(own_run)
    model = experiment.build_model()
    run.load_weights(model)
    fold = FoldPredictor(model, experiment, "valid", kept_token_ids=experiment.kept_token_ids())
    views = {rate: fold.predict("rmfm", rate, 0) for rate in (0.0, 0.5, 1.0)}
    pairs = {rate: (view[FACTUAL], view[COUNTERFACTUAL]) for rate, view in views.items()}
    assert tau.value == choose_tau(pairs, fold.labels, experiment.task, "acc2")
    assert tau.source == f"chosen now on the run's {len(fold.ids)} validation utterances"
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert not (own_run / "predictions").exists()


def test_predictions_of_other_weights_do_not_count(home, own_run):
    model = SentimentPredictor.load(own_run).model
    model.joint_head.change[0].bias.data += 1
    RunFolder(own_run).save_weights(model)
    (own_run / "digests.json").unlink()
    assert SentimentPredictor.load(own_run).tau.source.startswith("chosen now on")


def test_without_data_too_it_is_nothing_and_that_is_told(home, own_run, without_data):
    shutil.rmtree(own_run / "predictions")
    tau = SentimentPredictor.load(own_run).tau
    assert tau.value == 0
    assert "validation could not choose a strength" in tau.source
    assert "the store that the run was trained on is gone" in tau.source


def test_a_given_strength_is_taken(home, trained_run, without_data):
    tau = SentimentPredictor.load(trained_run, tau=1.25).tau
    assert (tau.value, tau.source) == (1.25, "given")


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, "0.5", None])
def test_an_impossible_strength_is_refused(value):
    with pytest.raises(RunError, match=r"tau is no strength: found .*, expected a number from 0 on"):
        given_tau(value)


def test_a_run_without_counterfactual_text_has_no_strength(untrained_run, home):
    run = untrained_run("model.maci=label")
    tau = SentimentPredictor.load(run).tau
    assert (tau.value, tau.source) == (0.0, "the run has no counterfactual text")
    assert SentimentPredictor.load(run, tau=0.0).tau == tau
    with pytest.raises(RunError, match="no counterfactual text to debias with"):
        SentimentPredictor.load(run, tau=0.5)
