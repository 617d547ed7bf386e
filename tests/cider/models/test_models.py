"""What holds for every registered model; a new one is tested here by its line in the registry."""

from dataclasses import replace

import pytest
import torch

from cider.models.backbone_model import count_parameters
from cider.models.registry import MODELS
from cider.runs.experiment import Experiment
from mer_data.torch_data.batches import Collator, UtteranceDataset
from mer_data.torch_data.missing import ValidMask, apply, rmm, smm

every_model = pytest.mark.parametrize("name", sorted(MODELS))


@pytest.fixture
def build(home, make_recipe):
    def make(name, maci="none", *overrides):
        recipe = make_recipe(f"model={{name: {name}, text_encoder: tiny, maci: {maci}}}", *overrides)
        experiment = Experiment.open(recipe)
        return experiment.build_model().eval(), experiment

    return make


def items_of(experiment, rows):
    dataset = UtteranceDataset(experiment.store, experiment.rows["train"])
    return [dataset[row] for row in rows]


@every_model
@torch.no_grad()
def test_a_prediction_depends_on_its_utterance_alone(build, name):
    model, experiment = build(name)
    items = items_of(experiment, range(8))
    ends = items[0].input_ids[[0, -1]]
    items.append(replace(items[0], input_ids=ends, audio=items[0].audio[:0], vision=items[0].vision[:0]))
    collate = Collator(experiment.special.pad)
    together = model(collate(items)).log_probabilities
    alone = torch.cat([model(collate([item])).log_probabilities for item in items])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    reverse = model(collate(items[::-1])).log_probabilities
    torch.testing.assert_close(reverse.flip(0), together, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.exp().sum(dim=1), torch.ones(len(items)))
    assert len({tuple(row) for row in together.round(decimals=4).tolist()}) > 2


@every_model
@torch.no_grad()
def test_predictions_are_finite_when_everything_is_lost(build, name):
    model, experiment = build(name)
    batch = Collator(experiment.special.pad)(items_of(experiment, range(8)))
    for keep in ("L", "A", "V"):
        lost = smm(ValidMask.from_batch(batch, experiment.special), keep)
        assert model(apply(batch, lost, experiment.special)).log_probabilities.isfinite().all()


@every_model
def test_every_parameter_learns(build, name):
    model, experiment = build(name)
    batch = Collator(experiment.special.pad)(items_of(experiment, range(16)))
    # Some models have parts for modalities that are lost, and parts for those that are not.
    positions, half = ValidMask.from_batch(batch, experiment.special), torch.full((len(batch),), 0.5)
    batch = apply(batch, rmm(positions, half, torch.Generator().manual_seed(0)), experiment.special)
    classes = torch.from_numpy(experiment.task.class_of(batch.label.numpy()))
    model.train()
    torch.manual_seed(0)
    output = model(batch)
    loss = torch.nn.functional.nll_loss(output.log_probabilities, classes)
    auxiliary = model.auxiliary_loss(output.representation, batch, classes)
    (loss if auxiliary is None else loss + auxiliary).backward()
    dead = [
        key
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    # The features of a segment without frames meet a key bias that softmax cancels.
    assert [key for key in dead if "text_encoder" not in key] == []


@every_model
def test_the_seed_gives_the_weights_and_maci_only_a_head(build, name):
    plain, causal, other = build(name)[0], build(name, "both")[0], build(name, "none", "seed=7")[0]
    ours, theirs, reseeded = (dict(model.named_parameters()) for model in (plain, causal, other))
    backbone = [key for key in ours if not key.startswith("head.")]
    assert all(torch.equal(ours[key], theirs[key]) for key in backbone)
    assert any(not torch.equal(ours[key], reseeded[key]) for key in ours if "text_encoder" not in key)


# --- the floors ---


def test_text_only_is_a_linear_classifier_on_mean_text(build):
    model, experiment = build("text_only")
    assert count_parameters(model, include_text_encoder=False) == 64 * 3 + 3
    items = items_of(experiment, range(4))
    batch = Collator(experiment.special.pad)(items)
    with torch.no_grad():
        features = model.text_encoder(batch.input_ids, batch.text_mask)
        means = torch.stack(
            [row[: len(item.input_ids)].mean(0) for row, item in zip(features, items, strict=True)]
        )
        torch.testing.assert_close(model(batch).joint, means)


def test_early_fusion_reads_all_three_modalities(build):
    model, experiment = build("early_fusion", "none", "model.settings.width=10")
    shapes = experiment.shapes(64)
    widths = shapes.text_width + shapes.audio_width + shapes.vision_width
    expected = 2 * (shapes.audio_width + shapes.vision_width) + widths * 10 + 10 + 110 + 33
    assert count_parameters(model, include_text_encoder=False) == expected
    batch = Collator(experiment.special.pad)(items_of(experiment, range(8)))
    with torch.no_grad():
        complete = model(batch).log_probabilities
        for keep in ("AV", "LV", "LA"):
            lost = smm(ValidMask.from_batch(batch, experiment.special), keep)
            assert not torch.allclose(
                model(apply(batch, lost, experiment.special)).log_probabilities, complete, atol=1e-4
            )
