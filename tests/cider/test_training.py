import copy
import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook

from cider import objectives
from cider.evaluation.metrics import scores
from cider.evaluation.predictor import FACTUAL, FoldPredictor
from cider.evaluation.run import evaluate_run
from cider.experiment import Experiment
from cider.model import CausalHead, PlainHead
from cider.run_folder import RunFolder
from cider.training import Trainer
from mer_data.batches import make_loader
from mer_data.errors import RunError, StatisticsError
from mer_data.missing import Positions, apply, rmfm
from mer_data.store import FeatureStore

#: Weights that cannot be mistaken for each other.
UNEQUAL_LOSSES = ("loss.alpha_reconstruction=0.7", "loss.beta_attention=0.02", "loss.gamma_joint=0.3")


def make_trainer(recipe, folder):
    experiment, run = Experiment.open(recipe), RunFolder(folder)
    run.start(experiment)
    return Trainer(experiment, run), experiment, run


def fit(recipe, folder):
    """Train; the result, the log without its durations, and the weights kept."""
    trainer, _, run = make_trainer(recipe, folder)
    result = trainer.fit()
    log = [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in run.read_log()]
    run.load_weights(trainer.model)
    return result, log, snapshot(trainer.model)


def snapshot(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def train_batch(experiment, size=8):
    """The first training utterances, among them the one that has neither words nor frames."""
    return next(iter(make_loader(experiment.store, experiment.rows["train"], batch_size=size)))


def without_dropout(model):
    """Switch it off, but for the tri attention's, which is no module: set model.attention_dropout=0."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


@dataclasses.dataclass
class Update:
    """What the optimiser found when it was asked to step."""

    weights: dict
    gradients: dict
    groups: list


@pytest.fixture
def updates():
    """Filled by every optimiser step; set ``model`` first."""

    class Updates(list):
        model = None

    seen = Updates()

    def note(optimiser, args, kwargs):
        seen.append(
            Update(
                snapshot(seen.model),
                gradients_of(seen.model),
                [dict(group) for group in optimiser.param_groups],
            )
        )

    handle = register_optimizer_step_pre_hook(note)
    yield seen
    handle.remove()


def gradients_of(model):
    return {
        name: None if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


def assert_same_gradients(found, expected):
    for name, gradient in expected.items():
        if gradient is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(
                found[name], gradient, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


# --- the two steps ---


def test_a_train_step_is_two_updates_with_separate_gradients(home, make_recipe, tmp_path, updates):
    recipe = make_recipe(*UNEQUAL_LOSSES, "seed=5", "model.attention_dropout=0")
    trainer, experiment, _ = make_trainer(recipe, tmp_path / "run")
    without_dropout(trainer.model.train())
    reference = copy.deepcopy(trainer.model)
    updates.model = trainer.model
    batch = train_batch(experiment)

    losses = trainer.train_step(batch)

    assert len(updates) == 2
    # First: cross-entropy of the complete view, from the weights at the start.
    assert equal(updates[0].weights, snapshot(reference))
    classes = batch.label.sign().long() + 1
    teacher = reference(batch, for_distillation=True)
    complete = -teacher.log_probabilities[torch.arange(len(batch)), classes].mean()
    complete.backward()
    assert_same_gradients(updates[0].gradients, gradients_of(reference))
    assert updates[0].gradients["reconstruction_heads.text.weight"] is None

    # Second: the incomplete view alone, from the weights after the first, with constants for the teacher.
    assert not equal(updates[1].weights, updates[0].weights)
    reference.load_state_dict(updates[1].weights)
    reference.zero_grad()
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    rates = torch.rand(len(batch), generator=generator)
    removed = rmfm(Positions.of(batch, experiment.special), rates, generator)
    student = reference(apply(batch, removed, experiment.special), for_distillation=True)
    rebuilt = reference.reconstruct(student)
    reconstruction = sum(
        functional.smooth_l1_loss(getattr(rebuilt, name)[:, : target.shape[1]][mask], target[mask])
        for name, target, mask in (
            ("text", teacher.text_features.detach(), removed.text),
            ("audio", batch.audio, removed.audio),
            ("vision", batch.vision, removed.vision),
        )
    )
    attention = objectives.attention_divergence(
        teacher.attention_logits.detach(), student.attention_logits, batch.text_mask
    )
    joint = (1 - functional.cosine_similarity(teacher.joint.detach(), student.joint)).mean()
    incomplete = -student.log_probabilities[torch.arange(len(batch)), classes].mean()
    (incomplete + 0.7 * reconstruction + 0.02 * attention + 0.3 * joint).backward()
    assert_same_gradients(updates[1].gradients, gradients_of(reference))
    assert updates[1].gradients["reconstruction_heads.text.weight"].abs().sum() > 0

    assert losses == pytest.approx(
        {
            "complete": complete.item(),
            "incomplete": incomplete.item(),
            "reconstruction": reconstruction.item(),
            "attention": attention.item(),
            "joint": joint.item(),
        },
        rel=1e-4,
    )
    assert not equal(snapshot(trainer.model), updates[1].weights)
    assert all(gradient is None for gradient in gradients_of(trainer.model).values())


def test_no_loss_teaches_the_complete_view(home, make_recipe, tmp_path, monkeypatch, updates):
    # With the incomplete view's own output made constant, nothing is left to learn from in the second step.
    trainer, experiment, _ = make_trainer(make_recipe(*UNEQUAL_LOSSES), tmp_path / "run")
    updates.model = trainer.model
    original, views = trainer.model.forward, []

    def second_view_is_constant(batch, **options):
        views.append(batch)
        output = original(batch, **options)
        if len(views) == 2:
            leaf = output.log_probabilities.detach().requires_grad_()
            tensors = {
                "log_probabilities": leaf,
                "joint": output.joint.detach(),
                "attention_logits": output.attention_logits.detach(),
                "fused": tuple(block.detach() for block in output.fused),
            }
            output = dataclasses.replace(output, **tensors)
        return output

    monkeypatch.setattr(trainer.model, "forward", second_view_is_constant)
    trainer.train_step(train_batch(experiment))
    assert len(views) == 2
    assert updates[0].gradients["text_encoder.model.embeddings.word_embeddings.weight"].abs().sum() > 0
    taught = {name for name, gradient in updates[1].gradients.items() if gradient is not None}
    assert {name.partition(".")[0] for name in taught} == {"reconstruction_heads"}


def test_the_text_encoder_learns_slowly_and_only_its_matrices_decay(home, make_recipe, tmp_path, updates):
    recipe = make_recipe("training.encoder_learning_rate=0.0002", "training.learning_rate=0.003")
    trainer, experiment, _ = make_trainer(recipe, tmp_path / "run")
    updates.model = trainer.model
    trainer.train_step(train_batch(experiment))
    settings_of = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in updates[0].groups
        for parameter in group["params"]
    }
    assert len(settings_of) == sum(len(group["params"]) for group in updates[0].groups)  # each once
    for name, parameter in trainer.model.named_parameters():
        plain = name.endswith("bias") or "LayerNorm" in name
        expected = (0.003, 0) if not name.startswith("text_encoder.") else (0.0002, 0 if plain else 1e-3)
        assert settings_of[id(parameter)] == expected, name


def test_a_loss_that_is_not_finite_stops_before_the_step(home, make_recipe, tmp_path, updates):
    trainer, experiment, run = make_trainer(make_recipe(), tmp_path / "run")
    with torch.no_grad():
        next(trainer.model.joint_head.parameters()).fill_(torch.nan)
    batch = train_batch(experiment)
    ids = experiment.store.utterances["id"].iloc[batch.index.numpy()].tolist()
    with pytest.raises(
        RunError, match=r"the loss is nan on a batch with the utterances .*training.learning_rate"
    ) as info:
        trainer.train_step(batch)
    assert ", ".join(ids[:5]) in str(info.value)
    assert str(run.path) in str(info.value)
    assert not updates


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
    monkeypatch.setattr(trainer, "train_step", lambda batch: seen.append(batch.index.tolist()) or step(batch))
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


# --- selection ---


def scripted(monkeypatch, trainer, values):
    """Make validation give ``values`` of acc3, one per epoch; the weights of every epoch are noted."""
    script, weights = iter(values), []

    def scores_of_epoch(*_):
        weights.append(snapshot(trainer.model))
        return {"acc3": next(script)}

    monkeypatch.setattr("cider.training.scores", scores_of_epoch)
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
    assert logged["score"] == result.best_score == (-1 if metric == "loss" else 1) * logged["valid"][metric]


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
