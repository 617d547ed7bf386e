import pytest
import torch

from cider.debiasing.causal_head import PlainHead
from cider.runs.experiment import Experiment


def fresh(recipe):
    torch.manual_seed(0)
    return Experiment.open(recipe).starting_model()


@pytest.mark.parametrize(
    "model", [(), ("model={name: early_fusion, text_encoder: tiny}",)], ids=["cider", "early_fusion"]
)
def test_classifiers_start_apart_or_equal(home, make_recipe, model):
    apart = fresh(make_recipe(*model))
    equal = fresh(make_recipe(*model, "model.classifier_start=equal"))
    first = apart.head.classifiers[0].weight
    assert not any(torch.equal(other.weight, first) for other in apart.head.classifiers[1:])
    assert all(torch.equal(other.weight, first) for other in equal.head.classifiers)
    for name, value in apart.state_dict().items():  # nothing else is another
        assert name.startswith("head.classifiers") or torch.equal(equal.state_dict()[name], value)


def test_without_a_causal_head_there_is_nothing_to_equalise(home, make_recipe):
    plain = fresh(make_recipe("model.maci=none"))
    equal = fresh(make_recipe("model.maci=none", "model.classifier_start=equal"))
    assert isinstance(equal.head, PlainHead)
    assert torch.equal(equal.head.classifier.weight, plain.head.classifier.weight)
