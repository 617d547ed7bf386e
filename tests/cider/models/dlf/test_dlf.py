import pytest
import torch
from baseline_builders import (
    MOSI,
    SMALL,
    joint,
    linear,
    make_baseline,
    mult,
    page_text,
    parameters_without_encoder,
    residual,
)
from torch.nn import functional
from utterance_builders import assert_close, collate, make_utterances

from cider.models.dlf.backbone import DLF, DLFSettings, ValidConvolution
from cider.models.dlf.losses import margin_loss, orthogonality, restored
from cider.models.shared.steps import Steps

LENGTHS = [(7, 12, 5), (2, 3, 1), (5, 0, 9), (8, 6, 0), (3, 1, 1), (9, 14, 11)]
CLASSES = torch.tensor([0, 1, 2, 0, 1, 2])


def quiet():
    """The small model without dropout."""
    values = SMALL[DLF].model_dump()
    return DLFSettings(
        **{name: 0.0 if name.endswith("_dropout") else value for name, value in values.items()}
    )


@pytest.mark.parametrize(("steps", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (9, 7)])
def test_the_convolution_is_valid_and_has_at_least_one_step(steps, expected):
    torch.manual_seed(0)
    layer = ValidConvolution(2, 4, kernel=3)
    x = torch.randn(steps, 2)
    found = layer(Steps(functional.pad(x, (0, 0, 0, 2)).unsqueeze(0), torch.tensor([steps])))
    assert found.lengths.tolist() == [expected]
    assert layer.length(steps) == expected
    padded = functional.pad(x, (0, 0, 0, max(0, 3 - steps)))
    weight = layer.convolution.weight  # (out, in, kernel)
    for t in range(expected):
        by_hand = sum(weight[:, :, k] @ padded[t + k] for k in range(3))
        assert_close(found.values[0, t], by_hand)
    assert (found.values[0, expected:] == 0).all()


def test_nothing_is_the_same_as_one_lost_frame():
    model, (row,) = make_baseline(DLF), make_utterances([(5, 1, 4)])
    text, audio, vision = row
    assert torch.equal(
        joint(model, collate([(text, audio[:0], vision)])), joint(model, collate([(text, 0 * audio, vision)]))
    )


def test_the_auxiliary_loss_is_the_sum_of_its_parts():
    model, batch = make_baseline(DLF, settings=quiet()).train(), collate(make_utterances(LENGTHS))
    representation = model.encode(batch)
    extras = representation.extras
    expected = functional.cross_entropy(model.common_classifier(model.common_head(extras["common"])), CLASSES)
    vectors = []
    for number, (name, weight) in enumerate((("text", 3), ("audio", 1), ("vision", 1))):
        scores = model.specific_classifiers[number](extras[f"task_{name}"])
        expected = expected + weight * functional.cross_entropy(scores, CLASSES)
        x, c, s = (
            Steps(extras[f"{part}_{name}"], extras[f"length_{name}"])
            for part in ("input", "shared", "specific")
        )
        rebuilt = x.replaced(model.decoders[number](torch.cat([s.values, c.values], dim=-1)))
        again = model.specific_encoders[number](rebuilt)
        expected = expected + 0.1 * (restored(again, s) + restored(rebuilt, x) + 0.1 * orthogonality(s, c))
        flat = torch.zeros(len(batch), model.margin_maps[number].in_features)
        flat[:, : c.values[0].numel()] = c.values.flatten(1)
        vectors.append(model.margin_maps[number](flat))
    margin = margin_loss(torch.cat(vectors), torch.cat([CLASSES] * 3), 0.15)
    assert_close(model.auxiliary_loss(representation, batch, CLASSES), expected + 0.01 * margin)


def test_the_auxiliary_loss_does_not_depend_on_padding():
    model, rows = make_baseline(DLF, settings=quiet()).train(), make_utterances(LENGTHS[:-1])
    losses = []
    for batch in (collate(rows), collate(rows, extra=(1, 2, 2), junk=100.0)):
        losses.append(model.auxiliary_loss(model.encode(batch), batch, CLASSES[:-1]))
    assert_close(*losses)


def test_but_for_the_margin_parts_of_a_batch_average_to_the_whole():
    settings = quiet()
    model, rows = make_baseline(DLF, settings=settings).train(), make_utterances(LENGTHS)
    model.margin = 0.0
    for parameter in model.margin_maps.parameters():  # all vectors zero: no cosine, no margin
        torch.nn.init.zeros_(parameter)
    losses = []
    for some in (slice(0, 6), slice(0, 2), slice(2, 6)):
        batch = collate(rows[some])
        losses.append(model.auxiliary_loss(model.encode(batch), batch, CLASSES[some]))
    assert_close((2 * losses[1] + 4 * losses[2]) / 6, losses[0])


def test_evaluation_needs_nothing_of_the_auxiliary_parts():
    model, batch = make_baseline(DLF), collate(make_utterances(LENGTHS))
    before = joint(model, batch)
    for part in (model.decoders, model.margin_maps, model.common_head, model.common_classifier):
        for parameter in part.parameters():
            parameter.data.fill_(torch.nan)
    assert torch.equal(joint(model, batch), before)


# --- parameter counts (docs/baselines.md) ---

D, STEPS = 50, {"text": 46, "audio": 371, "vision": 496}


def live_parameters(classes):
    """Term by term, for MOSI unaligned: what DLF trains, without its last layer."""
    flattened = [linear(D * steps, D) for steps in STEPS.values()]
    return {
        "convolutions": 5 * (768 + 5 + 20) * D,
        "one shared and three specific encoders": 4 * mult(2, D),
        "decoders": 3 * 2 * D * D,
        "flattened shared features to the margin's vectors": sum(flattened),
        "encoders of the shared features": 3 * mult(2, D),
        "language's own memory and two crossings": 3 * mult(2, D),
        "memories after the crossings": 2 * mult(3, D),
        "residual heads": residual(3 * D) + 3 * residual(D) + residual(6 * D),
        "gates": 3 * linear(D, D) + linear(3 * D, 3 * D),
        "auxiliary classifiers": linear(3 * D, classes) + 3 * linear(D, classes),
    }


def dead_parameters():
    """What the released full-size model builds and never trains."""
    heads = [linear(D * steps, D) + linear(D, D * steps) + linear(D * steps, 1) for steps in STEPS.values()]
    return {
        "flattened heads by modality": sum(heads),
        "flattened specific features to vectors": sum(linear(D * steps, D) for steps in STEPS.values()),
        "crossings that ask from audio and vision": 4 * mult(2, D),
    }


def test_live_and_dead_parameters_are_those_of_the_published_count():
    assert sum(dead_parameters().values()) == 7_184_703
    last_layer = linear(6 * D, 1)
    assert sum(live_parameters(1).values()) + last_layer + 7_184_703 == 10_750_808


@pytest.mark.parametrize(("classes", "count"), [(1, 3_565_804), (3, 3_566_412), (7, 3_567_628)])
def test_the_model_holds_the_live_parameters_alone(classes, count):
    model = make_baseline(DLF, MOSI, classes, DLFSettings())
    assert model.width == 300
    assert parameters_without_encoder(model) == sum(live_parameters(classes).values()) == count


def test_the_page_has_every_count():
    page = page_text("baselines.md")
    for count in [
        *(live_parameters(3) | dead_parameters()).values(),
        *{3_566_412, 2_343_862, 10_750_808, 7_184_703},
    ]:
        assert f"{count:,}" in page
