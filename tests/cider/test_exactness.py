"""Speed changes nothing: a training step by step beside one made of plain parts."""

import types

import pytest
import torch
from plain_attention import plain_divergence, plain_forward

from cider.model.attention import AttentionLogits
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training import losses as objectives
from cider.training.trainer import Trainer
from mer_data.torch_data.batches import make_loader

WITHOUT_DROPOUT = tuple(
    f"model.{name}_dropout=0" for name in ("attention", "embedding", "output", "relu", "residual")
)
STEPS = 20


def make_trainer(recipe, folder):
    experiment, run = Experiment.open(recipe), RunFolder(folder)
    run.start(experiment)
    trainer = Trainer(experiment, run)
    trainer.model.train()
    for module in trainer.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return trainer, experiment


def make_plain(trainer, monkeypatch):
    """Seven masked softmaxes, divergence of whole matrices, a padded encoder, Adam tensor by tensor."""
    for layer in trainer.model.transformer.layers:

        def attend(module, x, key_mask, *, with_logits=False):
            heads = [layer(x).unflatten(-1, (module.heads, -1)) for layer in (module.query, module.key)]
            return plain_forward(module, x, key_mask), AttentionLogits(*heads) if with_logits else None

        layer.attention.forward = types.MethodType(attend, layer.attention)

    def encode(input_ids, text_mask):
        hidden = trainer.model.text_encoder.model(
            input_ids=input_ids, attention_mask=text_mask.long()
        ).last_hidden_state
        return hidden * text_mask.unsqueeze(-1)

    trainer.model.text_encoder.forward = encode
    monkeypatch.setattr(objectives, "tri_divergence", plain_divergence)
    for group in trainer._step.optimiser.param_groups:
        group.update(fused=False, foreach=False)


def losses_of(trainer, batches):
    return [trainer.train_step(batches[step % len(batches)]) for step in range(STEPS)]


def test_the_losses_of_twenty_steps_are_those_of_plain_parts(home, make_recipe, tmp_path, monkeypatch):
    recipe = make_recipe(
        "training.mixed_precision='no'",
        "model.layers=2",
        "training.encoder_learning_rate=0.0005",
        *WITHOUT_DROPOUT,
    )
    trainer, experiment = make_trainer(recipe, tmp_path / "fast")
    loader = make_loader(
        experiment.store,
        experiment.rows["train"],
        batch_size=16,
        shuffle_generator=torch.Generator().manual_seed(0),
    )
    batches = list(loader)
    fast = losses_of(trainer, batches)
    plain_trainer, _ = make_trainer(recipe, tmp_path / "plain")
    make_plain(plain_trainer, monkeypatch)
    plain = losses_of(plain_trainer, batches)
    for step, (ours, expected) in enumerate(zip(fast, plain, strict=True)):
        assert ours == pytest.approx(expected, rel=1e-3, abs=1e-3), step
    assert fast != plain  # to the last digit: two ways of computing them
    # The curve is one: the model learned, so that agreement is more than both standing still.
    assert sum(losses["complete"] for losses in fast[-3:]) < 0.9 * sum(
        losses["complete"] for losses in fast[:3]
    )


def test_bf16_follows_float32(home, make_recipe, tmp_path):
    curves = []
    for precision in ("no", "bf16"):
        recipe = make_recipe(f"training.mixed_precision='{precision}'", *WITHOUT_DROPOUT)
        trainer, experiment = make_trainer(recipe, tmp_path / precision)
        batches = list(make_loader(experiment.store, experiment.rows["train"], batch_size=16))
        curves.append(losses_of(trainer, batches))
        assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    for ours, expected in zip(*curves, strict=True):
        assert ours["complete"] == pytest.approx(expected["complete"], abs=0.05)
