"""The paper's cross-dataset setting from files: one corpus is trained on, the other one tested on."""

import pytest
from processed_files import casp_ids, processed, shuffled, standard_ids, write_mmsa

from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run
from cider.prediction.target import Target
from cider.recipe.schema import load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.trainer import Trainer
from mer_data.importing import import_path
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import class_statistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.store.choose import choose_store
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task
from mer_data.text.encoder import load_text_encoder
from mer_data.workspace import Workspace

pytestmark = pytest.mark.usefixtures("bert_pieces", "quick_figures")

STEPS = {"mosi": 44, "mosei": 75}
RECIPE = """
name: tiny
data: {dataset: DATASET, alignment: casp_aligned, split: casp}
model: {text_encoder: tiny, layers: 1, width: 8, heads: 2}
training: {batch_size: 16, max_epochs: 1}
evaluation: {rates: [0, 0.5], pattern: tmfm, resamples: 100}
missing: {pattern: tmfm}
"""


@pytest.fixture
def imported(tmp_path):
    """Both corpora with the columns of the published files: {dataset: path of the split}."""
    splits = {}
    for dataset, steps in STEPS.items():
        ids = casp_ids(shuffled(standard_ids(dataset)))
        content = processed(ids, widths=(25, 171), pieces=steps, aligned=True, lengths=False)
        (item,) = import_path(write_mmsa(tmp_path / f"{dataset}.pkl", content)).imported
        splits[dataset] = item.split
    return splits


def train(dataset, folder):
    """A run of one epoch, with statistics and vocabulary of its own corpus."""
    workspace, task = Workspace(dataset), get_task("binary")
    store = choose_store(workspace, "casp_aligned")
    split_path = workspace.choose_split("casp")
    split, encoder = SplitManifest.load(split_path), load_text_encoder("tiny", store.tokenizer)
    path = workspace.statistics_path(store.path, split_path, "binary", "tiny")
    class_statistics(store, split, task, encoder).save(path)
    path = workspace.vocabulary_path(store.path, split_path, "binary")
    counterfactual_vocabulary(store, split, task).save(path)
    recipe = folder.with_suffix(".yaml")
    recipe.write_text(RECIPE.replace("DATASET", dataset), encoding="utf-8")
    experiment, run = Experiment.open(load_recipe(recipe)), RunFolder(folder)
    run.start(experiment)
    Trainer(experiment, run).fit()
    return run.path


@pytest.mark.parametrize(("one", "other"), [("mosi", "mosei"), ("mosei", "mosi")])
def test_one_corpus_is_trained_on_and_the_other_tested_on(imported, tmp_path, one, other):
    run = train(one, tmp_path / "run")
    result = evaluate_run(run, on=Target(other))
    split = SplitManifest.load(imported[other])
    assert result.target == f"on-{other}.casp_aligned.casp"
    assert sorted(result.measured.predictions.test.ids) == list(split.splits["test"])
    store = FeatureStore.open(Workspace(other).store_path("casp_aligned"))
    assert (store.alignment, store.width("audio"), store.width("vision")) == ("aligned", 25, 171)
    identity = result.measured.predictions.identity
    assert (identity["target_dataset"], identity["target_store"]) == (other, store.content_digest)
    page = (result.report / "summary.md").read_text(encoding="utf-8")
    assert f"on {other}, store casp_aligned, split casp; trained on {one}" in page
    own = evaluate_run(run, EvaluationOverrides(rates=(0.0,)))
    assert set(own.measured.predictions.test.ids).isdisjoint(result.measured.predictions.test.ids)
