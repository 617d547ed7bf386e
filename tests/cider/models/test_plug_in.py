import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cider.debiasing.causal_head import CausalHead, PlainHead
from cider.model.masking import masked_mean
from cider.models.backbone import JointRepresentation
from cider.models.backbone_model import BackboneModel
from cider.models.plug_in import with_maci
from cider.prediction.engine import FoldPredictor
from cider.runs.experiment import Experiment
from mer_data.errors import RecipeError, StatisticsError
from mer_data.store.choose import choose_store
from mer_data.torch_data.batches import make_loader
from mer_data.workspace import Workspace


class Words(nn.Module):
    """Means of word embeddings of its own: it has no text encoder of anybody's."""

    width = 6

    def __init__(self, store):
        super().__init__()
        self.words = nn.Embedding(len(store.tokenizer.vocabulary), self.width)

    def encode(self, batch):
        return JointRepresentation(masked_mean(self.words(batch.input_ids), batch.text_mask))


@pytest.fixture
def experiment(home, make_recipe):
    return Experiment.open(make_recipe())


@pytest.fixture
def inputs(experiment):
    return experiment.maci_inputs()


def first_batch(experiment):
    return next(iter(make_loader(experiment.store, experiment.rows["valid"], batch_size=8)))


def test_a_model_of_ones_own_gets_the_statistics_of_the_store(experiment, inputs):
    model = with_maci(Words(experiment.store), inputs)
    assert isinstance(model.head, CausalHead)
    assert torch.equal(model.head.class_audio, torch.from_numpy(inputs.statistics.means["audio"]))
    loss = nn.functional.nll_loss(
        model(first_batch(experiment)).log_probabilities, torch.zeros(8, dtype=torch.int64)
    )
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_counterfactual_is_that_of_evaluation(home, make_recipe, experiment, inputs):
    """With a text encoder the model can be put into the evaluation, which predicts both views itself."""
    recipe = make_recipe("model={name: early_fusion, text_encoder: tiny}")
    other = Experiment.open(recipe)
    trained = other.build_model()
    trained.head.use(inputs.statistics)
    model = with_maci(trained.backbone, inputs)
    model.head.load_state_dict(trained.head.state_dict())
    predictor = FoldPredictor(trained, other, "valid", kept_token_ids=other.kept_token_ids())
    expected = predictor.predict("rmfm", 0.0, 0)
    batches = make_loader(other.store, other.rows["valid"], batch_size=16)
    model.eval()
    with torch.no_grad():
        views = [model.views(batch) for batch in batches]
    for found, name in zip(zip(*views, strict=True), ("factual", "counterfactual"), strict=True):
        np.testing.assert_allclose(torch.cat(found).numpy(), expected[name], atol=1e-5)
    assert not np.allclose(expected["factual"], expected["counterfactual"], atol=1e-3)


@pytest.mark.parametrize(
    ("maci", "head", "has_views"),
    [("none", PlainHead, False), ("label", CausalHead, False), ("language", PlainHead, True)],
)
def test_halves_are_switched_by_themselves(experiment, inputs, maci, head, has_views):
    model = with_maci(Words(experiment.store), inputs, maci=maci)
    assert isinstance(model.head, head)
    if has_views:
        factual, counterfactual = model.views(first_batch(experiment))
        assert factual.shape == counterfactual.shape == (8, 3)
    else:
        with pytest.raises(StatisticsError, match=r"no counterfactual text.* Make it with maci='language'"):
            model.views(first_batch(experiment))


def test_a_checkpoint_has_the_statistics(experiment, inputs):
    model, batch = with_maci(Words(experiment.store), inputs), first_batch(experiment)
    other = BackboneModel(
        Words(experiment.store),
        3,
        class_widths=tuple(inputs.statistics.means[name].shape[1] for name in ("text", "audio", "vision")),
    )
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(other(batch).log_probabilities, model(batch).log_probabilities)


# --- bad input ---


@pytest.mark.parametrize(
    ("maci", "lacks", "message"),
    [
        ("label", "statistics", "label debiasing needs class statistics.* `mer-data statistics`"),
        ("both", "kept_token_ids", "needs a counterfactual vocabulary.* `mer-data counterfactual-vocab`"),
    ],
)
def test_what_is_missing_is_named(experiment, inputs, maci, lacks, message):
    with pytest.raises(StatisticsError, match=message):
        with_maci(Words(experiment.store), replace(inputs, **{lacks: None}), maci=maci)


def test_an_unknown_half_is_refused(experiment, inputs):
    with pytest.raises(RecipeError, match="unknown maci: found 'text', expected none, label, language or"):
        with_maci(Words(experiment.store), inputs, maci="text")


def test_a_missing_vocabulary_names_its_command(own_home, make_recipe):
    Workspace("sample").vocabulary_path(
        choose_store(Workspace("sample"), "unaligned").path,
        Workspace("sample").choose_split("standard"),
        "binary",
    ).with_suffix(".json").unlink()
    with pytest.raises(StatisticsError, match="mer-data counterfactual-vocab --dataset sample"):
        Experiment.open(make_recipe()).maci_inputs()


def test_statistics_of_another_store_are_refused(own_home, make_recipe):
    workspace = Workspace("sample")
    split = workspace.choose_split("standard")
    paths = [
        workspace.statistics_path(choose_store(workspace, alignment).path, split, "binary", "tiny")
        for alignment in ("aligned", "unaligned")
    ]
    paths[1].write_bytes(paths[0].read_bytes())
    with pytest.raises(StatisticsError, match=r"computed from another store content .*found sha256"):
        Experiment.open(make_recipe()).maci_inputs()
