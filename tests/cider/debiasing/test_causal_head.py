import copy

import pytest
import torch

from cider.debiasing.causal_head import CausalHead, PlainHead
from mer_data.errors import StatisticsError

WIDTHS = (6, 2, 3)
CLASSES = 3


def statistics(num_classes=CLASSES, seed=0):
    random = torch.Generator().manual_seed(seed)
    priors = torch.rand(num_classes, generator=random) + 0.1
    text, audio, vision = (torch.randn(num_classes, width, generator=random) for width in WIDTHS)
    return {"priors": priors / priors.sum(), "text": text, "audio": audio, "vision": vision}


def make_head(given=None, num_classes=CLASSES):
    torch.manual_seed(0)
    head = CausalHead(9, num_classes, WIDTHS, width=4)
    head.set_statistics(**(given or statistics(num_classes)))
    return head


def loop(head, h_m, priors, text, audio, vision):
    """P(Y|do(L)) one class after the other."""
    total = 0
    for i, classifier in enumerate(head.classifiers):
        means = [encode(x[i]) for encode, x in zip(head.encoders, (text, audio, vision), strict=True)]
        h_i = torch.cat([h_m, torch.cat(means).expand(len(h_m), -1)], dim=1)
        total = total + priors[i] * classifier(h_i).softmax(dim=1)
    return total


def test_training_takes_priors_and_class_means():
    given = statistics()
    head, h_m = make_head(given), torch.randn(5, 9)
    result = head(h_m, intervention="training")
    torch.testing.assert_close(result.exp(), loop(head, h_m, **given))


def test_test_takes_equal_priors_and_the_mean_of_the_class_means():
    given = statistics()
    head, h_m = make_head(given), torch.randn(5, 9)
    equal = {name: torch.stack([given[name].sum(dim=0) / 3] * 3) for name in ("text", "audio", "vision")}
    expected = loop(head, h_m, torch.full((3,), 1 / 3), **equal)
    torch.testing.assert_close(head(h_m, intervention="test").exp(), expected)
    assert not torch.allclose(expected, loop(head, h_m, **given))


@pytest.mark.parametrize("intervention", ["training", "test"])
def test_results_are_distributions_even_for_extreme_features(intervention):
    head = make_head(num_classes=7)
    result = head(200 * torch.randn(20, 9), intervention=intervention)
    assert result.isfinite().all()
    torch.testing.assert_close(result.exp().sum(dim=1), torch.ones(20))


def test_a_class_without_utterances_drops_out_without_nan():
    given = statistics()
    given["priors"] = torch.tensor([0.25, 0.0, 0.75])
    head, h_m = make_head(given), torch.randn(4, 9, requires_grad=True)
    result = head(h_m, intervention="training")
    torch.testing.assert_close(result.exp(), loop(head, h_m, **given))
    result.sum().backward()
    assert h_m.grad.isfinite().all()
    assert (head.classifiers[1].weight.grad == 0).all()
    assert (head.classifiers[0].weight.grad != 0).any()


def test_three_layer_encoders_are_shared_by_the_classes():
    head = make_head()
    kinds = [[type(layer).__name__ for layer in encoder] for encoder in head.encoders]
    assert kinds == [["Linear", "ReLU", "Linear", "ReLU", "Linear"]] * 3
    assert [encoder[0].in_features for encoder in head.encoders] == list(WIDTHS)


@pytest.mark.parametrize(("num_classes", "expected"), [(3, 33_545), (7, 41_265)])
def test_parameter_count_is_the_papers(num_classes, expected):
    head = CausalHead(96, num_classes, (768, 5, 20))
    assert sum(parameter.numel() for parameter in head.parameters()) == expected


# --- equal starts ---


def test_equalised_classifiers_are_all_the_first():
    head, same = make_head(), make_head()
    same.equalise_classifiers()
    first = head.classifiers[0].state_dict()
    for classifier in same.classifiers:
        assert all(torch.equal(value, first[name]) for name, value in classifier.state_dict().items())
    same.classifiers[0].bias.data += 1
    assert not torch.equal(same.classifiers[0].bias, same.classifiers[1].bias)
    for name, value in head.encoders.state_dict().items():
        assert torch.equal(same.encoders.state_dict()[name], value)


# --- statistics ---


def test_a_head_without_statistics_refuses_to_predict():
    head = CausalHead(9, CLASSES, WIDTHS, width=4)
    with pytest.raises(StatisticsError, match=r"no class statistics.* Call set_statistics"):
        head(torch.randn(1, 9), intervention="test")


def test_statistics_travel_in_the_state_dict():
    head, h_m = make_head(), torch.randn(2, 9)
    other = CausalHead(9, CLASSES, WIDTHS, width=4)
    other.load_state_dict(head.state_dict())
    for intervention in ("training", "test"):
        assert torch.equal(other(h_m, intervention=intervention), head(h_m, intervention=intervention))
    assert torch.equal(copy.deepcopy(head)(h_m, intervention="test"), head(h_m, intervention="test"))


def test_a_checkpoint_made_before_the_statistics_does_not_count_as_having_them():
    head = make_head()
    head.load_state_dict(CausalHead(9, CLASSES, WIDTHS, width=4).state_dict())
    with pytest.raises(StatisticsError, match="no class statistics"):
        head(torch.randn(1, 9), intervention="training")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"priors": torch.ones(2) / 2}, r"priors have the wrong shape: found \(2,\), expected \(3,\)"),
        ({"text": torch.ones(3, 5)}, r"class_text have the wrong shape: found \(3, 5\), expected \(3, 6\)"),
        ({"audio": torch.ones(2, 2)}, r"class_audio have the wrong shape: found \(2, 2\), expected \(3, 2\)"),
        (
            {"vision": torch.ones(3, 1)},
            r"class_vision have the wrong shape: found \(3, 1\), expected \(3, 3\)",
        ),
        ({"audio": torch.full((3, 2), torch.nan)}, "class_audio are not finite: found 6 NaN or infinite"),
        ({"priors": torch.tensor([0.5, torch.inf, 0.5])}, "priors are not finite: found 1 NaN or infinite"),
        ({"priors": torch.tensor([0.5, 0.25, 0.5])}, "no distribution: found minimum 0.25, sum 1.25"),
        ({"priors": torch.tensor([1.5, -0.5, 0.0])}, "no distribution: found minimum -0.5, sum 1"),
    ],
)
def test_bad_statistics_are_refused_and_change_nothing(change, message):
    head, h_m = make_head(), torch.randn(1, 9)
    before = head(h_m, intervention="training")
    with pytest.raises(StatisticsError, match=message):
        head.set_statistics(**{**statistics(seed=1), **change})
    assert torch.equal(head(h_m, intervention="training"), before)


def test_an_unknown_intervention_is_refused():
    with pytest.raises(ValueError, match="intervention is 'train', not 'training' or 'test'"):
        make_head()(torch.randn(1, 9), intervention="train")


# --- the plain head ---


def test_plain_head_is_a_linear_classifier():
    head, h_m = PlainHead(9, 3), torch.randn(4, 9)
    expected = (h_m @ head.classifier.weight.T + head.classifier.bias).softmax(dim=1)
    for intervention in ("training", "test"):
        torch.testing.assert_close(head(h_m, intervention=intervention).exp(), expected)
