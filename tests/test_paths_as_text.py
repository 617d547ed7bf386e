"""What a person calls from Python takes a path as text or as a Path, in both packages."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import cider
from cider.evaluation.evaluate import EvaluationOverrides, compare_evaluated, evaluate_run, score_run
from cider.figures import embed_runs, explain_debiasing
from cider.prediction.predictions import write_predictions
from cider.recipe.schema import find_recipe, load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.runs.verify import verify_run
from cider.training.many_runs import resume_run, train_run, train_seeds
from mer_data.build import build_store
from mer_data.errors import RunError
from mer_data.export.mmsa import export_mmsa
from mer_data.export.parquet import export_parquet
from mer_data.importing import import_path
from mer_data.inspect import summarise
from mer_data.sources import open_source
from mer_data.sources.sample import SampleSize, write_sample
from mer_data.splits import SplitManifest, standard_split
from mer_data.statistics.class_statistics import ClassStatistics, class_statistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary, load_kept_tokens, vocabulary_origin
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task
from mer_data.text.encoder import load_text_encoder
from mer_data.verify import verify
from mer_data.workspace import Workspace

RECIPE = """
name: tiny
data: {dataset: sample}
model: {text_encoder: tiny, layers: 1, width: 8, heads: 2}
training: {batch_size: 32, max_epochs: 1}
evaluation: {rates: [0, 1]}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Everything from files to a run, by paths as text."""
    folder = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(folder))
        workspace, task = Workspace("sample"), get_task("binary")
        write_sample(str(workspace.raw), 0, SampleSize(8, 12))
        path = str(workspace.store_path("unaligned"))
        build_store(open_source("sample", str(workspace.raw)), path, alignment="unaligned", tokenizer="tiny")
        store = FeatureStore(path)
        split_path = str(workspace.split_path("standard"))
        digest = store.utterance_digest
        standard_split(store.utterances, dataset="sample", utterance_digest=digest).save(split_path)
        split = SplitManifest.load(split_path)
        statistics = str(workspace.statistics_path(path, split_path, "binary", "tiny"))
        encoder = load_text_encoder("tiny", store.tokenizer)
        class_statistics(store, split, task, encoder).save(statistics)
        assert ClassStatistics.load(statistics).task == "binary"
        vocabulary = str(workspace.vocabulary_path(path, split_path, "binary"))
        counterfactual_vocabulary(store, split, task).save(vocabulary)
        kept = load_kept_tokens(
            vocabulary.replace(".csv", ".json"), vocabulary_origin(store, split), task, command="none"
        )
        assert len(kept)
        (folder / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _here(home, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(home))


@pytest.fixture(scope="module")
def run(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(home))
        recipe = load_recipe(find_recipe(str(home / "tiny.yaml")))
        folder = str(home / "run")
        train_run(recipe, folder)
        evaluate_run(folder)
    return folder


def test_stores_and_splits(home, tmp_path):
    store = Workspace("sample").store_path("unaligned")
    split = Workspace("sample").split_path("standard")
    opened, manifest = FeatureStore.open(str(store)), SplitManifest.load(str(split))
    export_mmsa(opened, manifest, str(tmp_path / "mmsa.pkl"))
    export_parquet(opened, manifest, str(tmp_path / "store.parquet"))
    assert (tmp_path / "mmsa.pkl").is_file()
    assert (tmp_path / "store.parquet").exists()
    assert verify(str(store)).num("error") == 0
    assert summarise(str(store)) == summarise(store)


def test_importing(tmp_path):
    source = Workspace("sample").raw
    assert import_path(str(source)) == import_path(source)


def test_runs(run, tmp_path, monkeypatch):
    assert open_run(run)[0] == RunFolder(Path(run)) == RunFolder(run)
    assert resume_run(run, print).how == "kept"
    assert verify_run(run).problems == ()
    choices = EvaluationOverrides(rates=(0.0, 1.0), resamples=100)
    assert score_run(run, choices).tau == evaluate_run(run, choices, report_only=True).scores.tau
    copy = str(shutil.copytree(run, tmp_path / "copy"))
    with pytest.raises(RunError, match="are one run"):  # it was read
        compare_evaluated([run, copy], choices)
    assert explain_debiasing(run).write(str(tmp_path / "debiasing"))[0].is_file()
    assert embed_runs([run], (0.0,), method="pca").write(str(tmp_path / "embedding"))[0].is_file()
    found = cider.load(run).predict(str(Workspace("sample").store_path("unaligned")))
    write_predictions(found, str(tmp_path / "all.csv"))
    assert (tmp_path / "all.csv").is_file()


def test_recipes_and_seeds(home, tmp_path):
    recipe = load_recipe(str(home / "tiny.yaml"), ("model.maci=none", "seed=3"))
    recipe.save(str(tmp_path / "saved.yaml"))
    assert load_recipe(tmp_path / "saved.yaml") == recipe
    (done,) = train_seeds([recipe], str(tmp_path / "runs"), print)
    assert done.path == tmp_path / "runs" / "tiny-seed3"
    assert np.isfinite(done.result.best_score)
    assert Experiment.open(recipe).split_path.name == "standard.json"
