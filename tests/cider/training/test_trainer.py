import math

import numpy as np
import pytest
import torch
from training_helpers import equal, fit, make_trainer, snapshot

from cider.debiasing.causal_head import CausalHead, PlainHead
from cider.evaluation.evaluate import evaluate_run
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.trainer import Trainer
from mer_data.errors import StatisticsError
from mer_data.store.reader import FeatureStore

# --- whole trainings ---


def test_the_seed_decides_everything(home, make_recipe, tmp_path):
    recipe = make_recipe("training.max_epochs=2")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    result, log, weights = fit(recipe, tmp_path / "first")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)  # the caller's random numbers play no part
    again = fit(recipe, tmp_path / "again")
    assert again[:2] == (result, log)
    assert equal(again[2], weights)
    other = fit(make_recipe("training.max_epochs=2", "seed=1112"), tmp_path / "other")
    assert other[1][0]["train"]["complete"] != log[0]["train"]["complete"]
    assert not equal(other[2], weights)


def test_training_learns_the_sample(trained_run):
    log = RunFolder(trained_run).read_log()
    assert [epoch["epoch"] for epoch in log] == [1, 2, 3, 4]
    for name in ("complete", "incomplete", "joint"):
        assert log[-1]["train"][name] < log[0]["train"][name]


def test_every_training_utterance_is_seen_once_an_epoch(home, make_recipe, tmp_path, monkeypatch):
    trainer, experiment, _ = make_trainer(make_recipe("training.batch_size=7"), tmp_path / "run")
    seen = []
    step = trainer.train_step
    monkeypatch.setattr(
        trainer, "train_step", lambda batch, *rest: seen.append(batch.index.tolist()) or step(batch, *rest)
    )
    calls = []
    trainer.fit(lambda done, total, text: calls.append((done, total)))
    flat = [row for batch in seen for row in batch]
    assert sorted(flat) == experiment.rows["train"].tolist()
    assert flat != sorted(flat)
    assert calls == [(number, 9) for number in range(1, 10)]


def test_the_test_fold_is_never_read(home, make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe("training.max_epochs=2")
    expected = fit(recipe, tmp_path / "clean")
    experiment = Experiment.open(recipe)
    poisoned = set(experiment.rows["test"].tolist())
    read = FeatureStore.read

    def guarded(store, indices):
        assert not poisoned & set(np.asarray(indices).tolist())
        return read(store, indices)

    monkeypatch.setattr(FeatureStore, "read", guarded)
    labels = experiment.store.utterances["label"]
    experiment.store.utterances["label"] = labels.where(~labels.index.isin(poisoned), math.nan)
    run = RunFolder(tmp_path / "poisoned")
    run.start(experiment)
    trainer = Trainer(experiment, run)
    assert trainer.fit() == expected[0]
    run.load_weights(trainer.model)
    assert equal(snapshot(trainer.model), expected[2])


# --- kinds of models and data ---


@pytest.mark.parametrize("maci", ["none", "label", "language", "both"])
def test_every_half_of_causal_inference_trains_and_evaluates(home, make_recipe, tmp_path, maci):
    recipe = make_recipe(f"model.maci={maci}", "evaluation.rates=[0, 1]")
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    trainer.fit()
    evaluated = evaluate_run(run.path).scores
    assert isinstance(trainer.model.head, CausalHead if maci in ("label", "both") else PlainHead)
    assert (evaluated.tau is None) == (evaluated.debiased is None) == (maci in ("none", "label"))
    assert all(len(values) == 2 for values in evaluated.final.values())


@pytest.mark.parametrize(
    "overrides",
    [
        ("data.alignment=aligned", "missing.pattern=tmfm", "evaluation.pattern=stmfm"),
        ("missing.rate=per_position",),
        ("missing.pattern=rmm", "evaluation.pattern=rmfm_same"),
        ("data.split=ood_binary_seed0",),
        ("task=seven", "model.maci=none", "selection.metric=acc7"),
    ],
    ids=lambda overrides: overrides[0],
)
def test_other_data_and_patterns_train_and_evaluate(home, make_recipe, tmp_path, overrides):
    recipe = make_recipe("training.batch_size=60", "evaluation.rates=[0.5]", *overrides)
    trainer, _, run = make_trainer(recipe, tmp_path / "run")
    result = trainer.fit()
    assert result.epochs == 1
    assert all(math.isfinite(value) for value in run.read_log()[0]["train"].values())
    scored = evaluate_run(run.path)
    assert scored.report.name == f"{recipe.evaluation.pattern}-mask0"
    assert set(scored.scores.plain) >= ({"acc7", "f1_7"} if recipe.task == "seven" else {"acc2", "acc3"})


def test_each_half_of_causal_inference_asks_for_its_own_input_before_training(home, make_recipe, tmp_path):
    for maci, message in {
        "both": r"no class statistics .*`mer-data statistics --dataset",
        "label": r"no class statistics .*`mer-data statistics --dataset",
        "language": r"no counterfactual vocabulary .*`mer-data counterfactual-vocab --dataset",
    }.items():
        with pytest.raises(StatisticsError, match=message):
            make_trainer(make_recipe("task=seven", f"model.maci={maci}"), tmp_path / maci)
    make_trainer(make_recipe("task=seven", "model.maci=none"), tmp_path / "none")


def test_the_head_has_the_training_folds_priors(home, make_recipe, tmp_path):
    trainer, experiment, _ = make_trainer(make_recipe(), tmp_path / "run")
    labels = experiment.store.utterances["label"].iloc[experiment.rows["train"]].to_numpy()
    shares = [np.mean(labels < 0), np.mean(labels == 0), np.mean(labels > 0)]
    assert trainer.model.head.priors.tolist() == pytest.approx(shares)
    frames = experiment.store.read(experiment.rows["train"]).streams["vision"]
    means = [frames[index].mean(axis=0) for index in range(60) if labels[index] > 0 and len(frames[index])]
    assert trainer.model.head.class_vision[2].numpy() == pytest.approx(np.mean(means, axis=0), rel=1e-4)
