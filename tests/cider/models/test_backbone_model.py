import pytest
import torch
from torch import nn

from cider.models.backbone import JointRepresentation
from cider.models.backbone_model import BackboneModel, causal_head_size, causal_parameter_count
from mer_data.errors import MerDataError
from mer_data.torch_data.batches import Batch

CLASSES, WIDTH = 3, 5
WIDTHS = (6, 2, 4)


class Means(nn.Module):
    """A backbone whose joint representation is a linear map of the first audio frame."""

    def __init__(self, width=WIDTH, declared=None):
        super().__init__()
        self.width = width if declared is None else declared
        self.layer = nn.Linear(2, width)

    def encode(self, batch):
        return JointRepresentation(self.layer(batch.audio[:, 0]))


class WithLoss(Means):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def auxiliary_loss(self, representation, batch, classes):
        return self.loss * representation.joint.square().mean()


def batch(size=4):
    torch.manual_seed(1)
    there = torch.ones(size, 1, dtype=torch.bool)
    return Batch(
        input_ids=torch.zeros(size, 1, dtype=torch.int64),
        text_mask=there,
        audio=torch.randn(size, 1, 2),
        audio_mask=there,
        vision=torch.zeros(size, 1, 4),
        vision_mask=there,
        label=torch.zeros(size),
        index=torch.arange(size),
    )


def with_statistics(model):
    torch.manual_seed(2)
    means = {
        name: torch.randn(CLASSES, width)
        for name, width in zip(("text", "audio", "vision"), WIDTHS, strict=True)
    }
    model.head.set_statistics(priors=torch.tensor([0.2, 0.5, 0.3]), **means)
    return model


@pytest.mark.parametrize("training", [True, False])
def test_maci_changes_nothing_but_the_head(training):
    plain = BackboneModel(Means(), CLASSES).train(training)
    causal = with_statistics(BackboneModel(Means(), CLASSES, class_widths=WIDTHS)).train(training)
    causal.backbone.load_state_dict(plain.backbone.state_dict())
    inputs = batch()
    assert torch.equal(causal(inputs).joint, plain(inputs).joint)
    assert not torch.allclose(causal(inputs).log_probabilities, plain(inputs).log_probabilities)
    with torch.no_grad():
        for encoder in causal.head.encoders:  # zero class features ...
            encoder[-1].weight.zero_()
            encoder[-1].bias.zero_()
        for classifier in causal.head.classifiers:  # ... and equal classifiers
            classifier.weight[:, :WIDTH] = plain.head.classifier.weight
            classifier.bias.copy_(plain.head.classifier.bias)
    torch.testing.assert_close(causal(inputs).log_probabilities, plain(inputs).log_probabilities)


def test_the_intervention_follows_the_mode():
    model, inputs = with_statistics(BackboneModel(Means(), CLASSES, class_widths=WIDTHS)), batch()
    for training, intervention in ((True, "training"), (False, "test")):
        output = model.train(training)(inputs)
        expected = model.head(output.joint, intervention=intervention)
        assert torch.equal(output.log_probabilities, expected)
    torch.testing.assert_close(output.log_probabilities.exp().sum(dim=1), torch.ones(4))


@pytest.mark.parametrize(
    ("widths", "constant"), [((768, 5, 20), 31_808), ((768, 74, 35), 34_496)], ids=["mosi", "mosei"]
)
@pytest.mark.parametrize("classes", [3, 7])
@pytest.mark.parametrize("width", [96, 180, 300])
def test_the_size_of_maci_is_that_of_the_formula(widths, constant, classes, width):
    model = BackboneModel(Means(width), classes, class_widths=widths)
    expected = constant + classes**2 * (width + 97)
    assert causal_parameter_count(model) == causal_head_size(width, classes, widths) == expected


def test_only_the_head_has_new_parameters():
    plain, causal = BackboneModel(Means(), CLASSES), BackboneModel(Means(), CLASSES, class_widths=WIDTHS)
    for model in (plain, causal):
        assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"backbone", "head"}
    names = [
        {name for name, _ in model.named_parameters() if name.startswith("backbone.")}
        for model in (plain, causal)
    ]
    assert names[0] == names[1]
    assert causal_parameter_count(plain) == 0


def test_an_auxiliary_loss_is_the_backbones():
    inputs, classes = batch(), torch.zeros(4, dtype=torch.int64)
    model = BackboneModel(WithLoss(2.0), CLASSES)
    representation = model(inputs).representation
    expected = 2 * representation.joint.square().mean()
    assert torch.equal(model.auxiliary_loss(representation, inputs, classes), expected)
    assert BackboneModel(Means(), CLASSES).auxiliary_loss(representation, inputs, classes) is None


# --- bad input ---


def test_a_wrongly_declared_width_is_told():
    model = BackboneModel(Means(width=5, declared=6), CLASSES)
    message = r"of Means has another shape than its `width` says: found \(4, 5\), expected \(4, 6\)"
    with pytest.raises(MerDataError, match=message):
        model(batch())


def test_representations_of_other_utterances_are_told():
    backbone = Means()
    backbone.encode = lambda batch: JointRepresentation(torch.zeros(1, WIDTH))
    with pytest.raises(MerDataError, match=r"found \(1, 5\), expected \(4, 5\)"):
        BackboneModel(backbone, CLASSES)(batch())


@pytest.mark.parametrize("width", [0, -1, None, 2.5])
def test_a_width_that_is_no_number_of_features_is_told(width):
    backbone = Means()
    backbone.width = width
    with pytest.raises(MerDataError, match="the width of Means is no positive number: found"):
        BackboneModel(backbone, CLASSES)


@pytest.mark.parametrize("module", [nn.Linear(2, 2), JointRepresentation(torch.zeros(1, 1)), None])
def test_something_else_is_no_backbone(module):
    with pytest.raises(MerDataError, match=r"not a backbone: found .*, expected a torch module with `width`"):
        BackboneModel(module, CLASSES)


def test_an_auxiliary_loss_has_no_dimension():
    model = BackboneModel(WithLoss(torch.ones(4)), CLASSES)
    inputs = batch()
    with pytest.raises(MerDataError, match=r"loss of WithLoss is no single number: found shape \(4,\)"):
        model.auxiliary_loss(model(inputs).representation, inputs, torch.zeros(4, dtype=torch.int64))


def test_a_backbone_of_a_recipe_keeps_its_text_encoder():
    with pytest.raises(MerDataError, match=r"Means keeps no text encoder.* Assign the one it is given"):
        _ = BackboneModel(Means(), CLASSES).text_encoder


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (lambda joint: joint, "Tensor"),
        (lambda joint: None, "NoneType"),
        (lambda joint: (joint, {}), "tuple"),
        (lambda joint: JointRepresentation(joint.tolist()), "list"),
    ],
)
def test_what_encode_should_give_is_told(result, found):
    class Wrong(Means):
        def encode(self, batch):
            return result(super().encode(batch).joint)

    message = rf"encode of Wrong gives no joint representation: found {found}, expected .*Return JointRepres"
    with pytest.raises(MerDataError, match=message):
        BackboneModel(Wrong(), CLASSES)(batch())


def test_a_loss_that_is_a_plain_number_is_told():
    model = BackboneModel(WithLoss(1.0), CLASSES)
    model.backbone.auxiliary_loss = lambda *_: 0.5
    with pytest.raises(MerDataError, match="loss of WithLoss is no single number: found float"):
        model.auxiliary_loss(JointRepresentation(torch.zeros(4, WIDTH)), batch(), torch.zeros(4))
