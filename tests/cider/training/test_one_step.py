import math
import re

import numpy as np
import pytest
import torch
from training_helpers import FLOAT32, equal, fit, log_of, make_trainer, snapshot, train_batch, without_dropout

from cider.evaluation.evaluate import evaluate_run
from cider.models.backbone_model import BackboneModel
from cider.models.early_fusion import EarlyFusion
from cider.models.registry import MODELS
from cider.prediction.sentiment_predictor import SentimentPredictor
from cider.profiling import measure
from cider.recipe.schema import load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import open_run
from cider.training.many_runs import resume_run
from cider.training.one_step import OneStep
from cider.tuning.space import search_space
from mer_data.errors import RecipeError, RunError
from mer_data.torch_data.missing import ValidMask, nothing

MODEL = "model={name: early_fusion, text_encoder: tiny, settings: {width: 8, dropout: 0}}"


class Auxiliary(EarlyFusion):
    """Early fusion that also wants a joint representation near the label's class."""

    def encode(self, batch):
        representation = super().encode(batch)
        return type(representation)(representation.joint, {"sum": representation.joint.sum(dim=1)})

    def auxiliary_loss(self, representation, batch, classes):
        assert representation.extras["sum"].dtype == torch.float32
        return 0.5 * (representation.extras["sum"] - classes).square().mean()


@pytest.fixture
def auxiliary(monkeypatch):
    monkeypatch.setitem(MODELS, "auxiliary", f"{__name__}:Auxiliary")
    return MODEL.replace("early_fusion", "auxiliary")


@pytest.fixture
def trainer(home, make_recipe, tmp_path_factory):
    def make(*overrides, model=MODEL):
        folder = tmp_path_factory.mktemp("run")
        made, experiment, _ = make_trainer(make_recipe(model, FLOAT32, *overrides), folder)
        made.model.train()
        without_dropout(made.model)
        return made, experiment

    return make


def test_a_step_is_adam_on_the_cross_entropy_of_the_complete_batch(trainer):
    made, experiment = trainer("missing.pattern=none")
    reference, _ = trainer("missing.pattern=none")
    batch = train_batch(experiment)
    losses = made.train_step(batch)
    model, optimiser = reference.model, reference._step.optimiser
    classes = torch.from_numpy(experiment.task.class_of(batch.label.numpy()))
    loss = -model(batch).log_probabilities[torch.arange(len(batch)), classes].mean()
    loss.backward()
    optimiser.step()
    assert losses == {"classification": pytest.approx(loss.item())}
    for name, value in snapshot(made.model).items():
        torch.testing.assert_close(value, snapshot(model)[name])


def test_an_auxiliary_loss_is_added(trainer, auxiliary):
    made, experiment = trainer("missing.pattern=none", model=auxiliary)
    batch = train_batch(experiment)
    classes = torch.from_numpy(experiment.task.class_of(batch.label.numpy()))
    with torch.no_grad():
        total = made.model(batch).joint.sum(dim=1)
    losses = made.train_step(batch)
    assert list(losses) == ["classification", "auxiliary"]
    assert losses["auxiliary"] == pytest.approx(0.5 * (total - classes).square().mean().item())
    without, _ = trainer("missing.pattern=none")
    assert without.train_step(batch) == {"classification": losses["classification"]}
    assert not equal(snapshot(without.model), snapshot(made.model))


def test_training_is_on_what_the_recipe_leaves(trainer, monkeypatch):
    seen = []
    forward = BackboneModel.forward

    def watched(model, batch):
        seen.append(batch)
        return forward(model, batch)

    monkeypatch.setattr(BackboneModel, "forward", watched)
    for pattern in ("rmm", "none"):
        made, experiment = trainer(f"missing.pattern={pattern}")
        batch = train_batch(experiment, 64)
        made.train_step(batch)
    unk = experiment.special.unk
    assert (seen[0].input_ids == unk).sum() > (batch.input_ids == unk).sum()
    assert torch.equal(seen[1].input_ids, batch.input_ids)
    assert torch.equal(seen[1].audio, batch.audio)
    assert torch.equal(seen[1].vision, batch.vision)


def test_parts_of_a_batch_make_the_same_step(trainer, auxiliary):
    outcomes = []
    for parts in (1, 3):
        made, experiment = trainer(
            "missing.pattern=none", f"training.gradient_accumulation={parts}", model=auxiliary
        )
        losses = made.train_step(train_batch(experiment))
        outcomes.append((losses, snapshot(made.model)))
    (whole, first), (in_parts, second) = outcomes
    assert in_parts == pytest.approx(whole, rel=1e-4)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("has_loss", [False, True])
def test_an_utterance_whose_loss_is_not_finite_is_named(trainer, auxiliary, has_loss):
    made, experiment = trainer(model=auxiliary if has_loss else MODEL)
    batch = train_batch(experiment)
    row = int(batch.vision_mask.any(dim=1).nonzero()[0])
    batch.vision[row][batch.vision_mask[row]] = math.nan
    # Lost frames would be zeros again.
    made._step._draw = lambda one: nothing(ValidMask.from_batch(one, experiment.special))
    before = snapshot(made.model)
    name = experiment.store.utterances["id"].iloc[int(batch.index[row])]
    with pytest.raises(
        RunError, match=rf"the loss is nan on a batch with the utterances {re.escape(name)} in"
    ):
        made.train_step(batch)
    assert equal(snapshot(made.model), before)


# --- everything around a training ---


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_run_from_training_to_prediction(home, make_recipe, tmp_path, name):
    recipe = make_recipe(f"model={{name: {name}, text_encoder: tiny}}", "training.max_epochs=2")
    trainer, experiment, run = make_trainer(recipe, tmp_path / "run")
    assert isinstance(trainer._step, OneStep)
    trainer.fit()
    assert next(iter(log_of(run.path)[0]["train"])) == "classification"
    evaluate_run(run.path)
    assert any((run.path / "reports").iterdir())
    reopened, again = open_run(run.path)
    assert again.recipe == recipe
    predictor = SentimentPredictor.load(run.path, tau=1.0)
    assert isinstance(predictor.model, BackboneModel)
    found = predictor.predict(experiment.store, experiment.store.utterances["id"].tolist()[:5])
    assert found.factual.shape == found.counterfactual.shape == (5, 3)
    model = again.build_model()
    reopened.load_weights(model)
    np.testing.assert_array_equal(
        *(
            dict(one.named_parameters())["head.classifiers.0.bias"].detach()
            for one in (model, predictor.model)
        )
    )


def test_a_killed_training_ends_as_if_nothing_had_happened(home, make_recipe, tmp_path):
    recipe = make_recipe(MODEL, FLOAT32, "training.max_epochs=3")
    expected = fit(recipe, tmp_path / "whole")
    trainer, _, run = make_trainer(recipe, tmp_path / "killed")

    def kill(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(on_epoch=kill)
    done = resume_run(run.path, lambda line: None)
    assert (done.how, done.result) == ("resumed", expected[0])
    assert log_of(run.path) == expected[1]
    model = Experiment.open(recipe).build_model()
    run.load_weights(model)
    assert equal(snapshot(model), expected[2])


def test_a_profile_has_the_parts_of_a_backbone(home, make_recipe):
    profile = measure(make_recipe(MODEL), 1)
    assert profile.seconds.complete_view is None
    assert {"text encoder", "backbone", "head"} < set(profile.shares)
    assert all(profile.shares[part] > 0 for part in ("text encoder", "backbone", "head", "losses"))
    assert sum(profile.shares.values()) == pytest.approx(1)
    assert profile.to_json()["paper_table_vi"] is None
    assert not any("paper" in line.lower() or line.startswith("  complete view") for line in profile.lines())


# --- recipes ---


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model={name: nope}"], "model.name: no model 'nope': expected cider, "),
        (["model={name: nowhere:X}"], "model.name: model 'nowhere:X' is in no installed package"),
        (["model={name: 3}"], "model.name: Input should be a valid string"),
        (["model={name: early_fusion, layers: 2}"], "model.layers: unknown key"),
        (["model={name: early_fusion, settings: {wide: 2}}"], "model.settings.wide: unknown key"),
        (["model={name: early_fusion, settings: {width: 0}}"], "model.settings.width: Input should be great"),
        (["model.settings={}"], "model.settings: unknown key"),
        (["model=[]"], "model: Input should be a valid dictionary"),
        (["missing.pattern=none"], "missing.pattern: cider distils complete data into incomplete"),
        ([MODEL, "loss.beta_attention=0"], "loss: the weights are of cider's distillation, early_fusion has"),
    ],
)
def test_a_wrong_model_is_one_line(make_recipe, overrides, message):
    with pytest.raises(RecipeError, match=message):
        make_recipe(*overrides)


def test_a_recipe_with_a_model_survives_saving(make_recipe, tmp_path):
    recipe = make_recipe(MODEL, "missing.pattern=none")
    recipe.save(tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe
    assert recipe.model.settings.width == 8


def test_the_papers_search_space_is_ciders(make_recipe):
    with pytest.raises(RecipeError, match="search space is of cider: found model early_fusion"):
        search_space(make_recipe(MODEL))
