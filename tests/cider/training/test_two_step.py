import copy
import dataclasses

import pytest
import torch
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training_helpers import (
    FLOAT32,
    UNEQUAL_LOSSES,
    equal,
    make_trainer,
    snapshot,
    train_batch,
    without_dropout,
)

from cider.training import losses as objectives
from cider.training.microbatches import map_tensors, split_into_microbatches
from cider.training.two_step import student_losses
from mer_data.errors import RecipeError, RunError
from mer_data.torch_data.missing import ValidMask, apply, rmfm


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
    recipe = make_recipe(*UNEQUAL_LOSSES, FLOAT32, "seed=5", "model.attention_dropout=0")
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
    removed = rmfm(ValidMask.from_batch(batch, experiment.special), rates, generator)
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


def test_a_loss_that_is_not_finite_in_the_second_view_stops_after_the_first_step(
    home, make_recipe, tmp_path, updates
):
    trainer, experiment, _ = make_trainer(make_recipe(), tmp_path / "run")
    updates.model = trainer.model
    with torch.no_grad():
        next(trainer.model.reconstruction_heads.parameters()).fill_(torch.inf)
    with pytest.raises(RunError, match=r"the loss is (nan|inf) on a batch"):
        trainer.train_step(train_batch(experiment))
    assert len(updates) == 1


@pytest.mark.parametrize("rows", [[5], [0, 3, 6]])
def test_only_the_utterances_whose_loss_is_not_finite_are_told(home, make_recipe, tmp_path, updates, rows):
    trainer, experiment, _ = make_trainer(make_recipe(), tmp_path / "run")
    batch = train_batch(experiment, size=16)
    frames = batch.audio_mask.any(dim=1).nonzero().flatten()[rows]
    audio = batch.audio.clone()
    audio[frames, 0] = torch.nan
    ids = experiment.store.utterances["id"]
    with pytest.raises(RunError) as info:
        trainer.train_step(dataclasses.replace(batch, audio=audio))
    told = str(info.value).partition("with the utterances ")[2].partition(" in ")[0]
    assert told.split(", ") == ids.iloc[batch.index[frames].numpy()].tolist()
    assert not updates


# --- parts and shares ---


@pytest.mark.parametrize("number", [2, 3, 8, 50])
def test_a_batch_in_parts_gives_the_gradients_and_losses_of_the_whole(
    home, make_recipe, tmp_path, updates, number
):
    results = {}
    for parts in (1, number):
        recipe = make_recipe(
            *UNEQUAL_LOSSES, FLOAT32, "model.attention_dropout=0", f"training.gradient_accumulation={parts}"
        )
        trainer, experiment, _ = make_trainer(recipe, tmp_path / str(parts))
        without_dropout(trainer.model.train())
        updates.model = trainer.model
        updates.clear()
        losses = trainer.train_step(train_batch(experiment))
        assert len(updates) == 2
        results[parts] = losses, [update.gradients for update in updates]
    losses, gradients = results[number]
    assert losses == pytest.approx(results[1][0], rel=1e-5)
    for found, expected in zip(gradients, results[1][1], strict=True):
        assert_same_gradients(found, expected)


def test_every_part_is_trained_on_in_both_steps(home, make_recipe, tmp_path, monkeypatch):
    trainer, experiment, _ = make_trainer(make_recipe("training.gradient_accumulation=3"), tmp_path / "run")
    forward, seen = trainer.model.forward, []

    def noting(batch, **options):
        seen.append(batch.index.tolist())
        return forward(batch, **options)

    monkeypatch.setattr(trainer.model, "forward", noting)
    batch = train_batch(experiment)
    trainer.train_step(batch)
    assert [len(rows) for rows in seen] == [3, 3, 2, 3, 3, 2]
    for view in (seen[:3], seen[3:]):
        assert [row for rows in view for row in rows] == batch.index.tolist()


def test_a_stand_in_changes_nothing(home, make_recipe, tmp_path, updates):
    trainer, experiment, _ = make_trainer(make_recipe(), tmp_path / "run")
    updates.model = trainer.model
    losses = trainer.train_step(train_batch(experiment, size=1), num_real=0)
    assert set(losses.values()) == {0.0}
    for update in updates:
        assert all(gradient is None or not gradient.any() for gradient in update.gradients.values())


class TwoProcesses:
    """What `split_into_microbatches` asks the processes: their number, and the sums over them."""

    world_size = 2

    def __init__(self, totals):
        self._totals = totals

    def sum(self, values):
        return self._totals


@pytest.mark.parametrize("size", [2, 7, 8])
def test_the_shares_of_two_processes_add_up_to_the_whole_batch(home, make_recipe, tmp_path, size):
    trainer, experiment, _ = make_trainer(make_recipe("model.attention_dropout=0"), tmp_path / "run")
    without_dropout(trainer.model.train())
    batch = train_batch(experiment, size=size)
    classes = batch.label.sign().long() + 1
    rates = torch.full((size,), 0.4)
    removed = rmfm(ValidMask.from_batch(batch, experiment.special), rates, torch.Generator().manual_seed(0))
    totals = [float(size), *(float(lost.sum()) for lost in (removed.text, removed.audio, removed.vision))]

    def losses(rows, max_parts):
        own = map_tensors(lambda tensor: tensor[rows], (batch, classes, removed))
        sums = {}
        parts = split_into_microbatches(
            *own,
            num_real=len(own[1]),
            max_parts=max_parts,
            processes=TwoProcesses(totals) if rows.step else Alone(),
        )
        for part in parts:
            teacher = trainer.model(part.batch, for_distillation=True)
            student = trainer.model(
                apply(part.batch, part.removed, experiment.special), for_distillation=True
            )
            rebuilt = trainer.model.reconstruct(student)
            for name, value in student_losses(part, teacher, student, rebuilt).items():
                sums[name] = sums.get(name, 0.0) + value.item()
        return sums

    whole = losses(slice(None), max_parts=1)
    first, second = (losses(slice(rank, None, 2), max_parts=3) for rank in range(2))
    assert {name: first[name] + second[name] for name in whole} == pytest.approx(whole, rel=1e-5, abs=1e-6)
    assert whole["reconstruction"] > 0


class Alone:
    world_size = 1

    @staticmethod
    def sum(values):
        return values


# --- precision ---


def test_bf16_losses_are_near_those_of_float32_and_weights_stay_float32(home, make_recipe, tmp_path):
    losses = {}
    for precision in ("no", "bf16"):
        recipe = make_recipe(f"training.mixed_precision='{precision}'", "model.attention_dropout=0")
        trainer, experiment, _ = make_trainer(recipe, tmp_path / precision)
        without_dropout(trainer.model.train())
        inner = []
        handle = trainer.model.projections[0].register_forward_hook(
            lambda module, args, output, inner=inner: inner.append(output.dtype)
        )
        losses[precision] = trainer.train_step(train_batch(experiment))
        handle.remove()
        assert set(inner) == {torch.bfloat16 if precision == "bf16" else torch.float32}
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.05, abs=0.01)
    assert losses["bf16"] != losses["no"]


def test_fp16_is_refused_on_a_processor(home, make_recipe, tmp_path):
    with pytest.raises(RecipeError, match="fp16 needs a GPU"):
        make_trainer(make_recipe("training.mixed_precision=fp16"), tmp_path / "run")
