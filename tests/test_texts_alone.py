"""A corpus of texts and labels alone goes the whole way: splits, statistics, exports, reports, training."""

import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner

from cider.commands import main as cider
from mer_data.build import build_store
from mer_data.commands import main as mer_data
from mer_data.sources import open_source
from mer_data.store.reader import FeatureStore

PROGRAMS = {"mer-data": mer_data, "cider": cider}


def run(program, *words, exit_code=0):
    result = CliRunner().invoke(PROGRAMS[program], list(map(str, words)))
    assert result.exit_code == exit_code, result.output
    return result.stdout if exit_code == 0 else result.stderr


@pytest.fixture(scope="module")
def home(sample_folder, tmp_path_factory):
    """A workspace with a store of the sample's texts, two splits, statistics and a vocabulary."""
    home = tmp_path_factory.mktemp("texts")
    full = build_store(
        open_source("sample", sample_folder), home / "full.h5", alignment="unaligned", tokenizer="tiny"
    )
    table = FeatureStore.open(full.path).utterances.rename(columns={"segment": "clip_id", "fold": "mode"})
    table[["video_id", "clip_id", "text", "label", "mode"]].to_csv(home / "label.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MER_DATA_HOME", str(home / "data"))
        run("mer-data", "build", "--dataset", "sample", "--source", home / "label.csv", "--tokenizer", "tiny")
        run("mer-data", "standard-split")
        run("mer-data", "repartition", "--label-tolerance", "0.2")
        run("mer-data", "statistics", "--split", "standard", "--text-encoder", "tiny")
        run("mer-data", "counterfactual-vocab", "--split", "standard")
    return home


@pytest.fixture
def workspace(home, monkeypatch, tmp_path):
    """The workspace, in a folder of this test."""
    monkeypatch.setenv("MER_DATA_HOME", str(home / "data"))
    monkeypatch.chdir(tmp_path)
    return home


def test_utterances_with_a_text_are_those_of_the_full_store(workspace):
    columns = ["id", "label", "text"]
    texts = FeatureStore.open(workspace / "data/sample/store/unaligned.h5").utterances[columns]
    full = FeatureStore.open(workspace / "full.h5").utterances[columns]
    spoken = full[full["text"].str.strip() != ""]
    assert len(spoken) == len(full) - 1
    assert texts.sort_values("id").values.tolist() == spoken.sort_values("id").values.tolist()


def test_a_split_of_texts_applies_to_the_full_store_and_counts_other_texts(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "sample" / "store"
    folder.mkdir(parents=True)
    shutil.copy(workspace / "data/sample/store/unaligned.h5", folder / "texts.h5")
    table = pd.read_csv(workspace / "label.csv", keep_default_na=False)
    table.loc[table.index[table["text"] != ""][:2], "text"] += " indeed"
    table.to_csv(tmp_path / "other.csv", index=False)
    other = ["--source", tmp_path / "other.csv", "--tokenizer", "tiny", "--out", folder / "other.h5"]
    run("mer-data", "build", "--dataset", "sample", *other)
    manifest = workspace / "data/sample/splits/ood_binary_seed0.json"
    words = ["repartition", "--from-manifest", manifest, "--alignment", "other", "--json"]
    assert json.loads(run("mer-data", *words))["other_texts"] == 2
    shutil.copy(workspace / "full.h5", folder / "full.h5")
    words = ["repartition", "--from-manifest", manifest, "--alignment", "full", "--json", "--force"]
    found = json.loads(run("mer-data", *words))
    assert (found["other_texts"], found["missing"]) == (0, [])


def test_verify_finds_no_error(workspace):
    found = json.loads(run("mer-data", "verify", workspace / "data", "--json"))
    assert [one for one in found if one["level"] == "error"] == []


def test_inspect_shows_texts_alone(workspace):
    out = run("mer-data", "inspect", workspace / "data/sample/store/unaligned.h5")
    assert "tokenizer tiny" in out
    assert "audio" not in out


def test_one_utterance_has_no_frames(workspace):
    store = workspace / "data/sample/store/unaligned.h5"
    name = FeatureStore.open(store).utterances["id"][0]
    assert "frames: none" in run("mer-data", "inspect", store, "--utterance", name)


@pytest.mark.parametrize("kind", ["mmsa", "parquet", "croissant", "card", "datasets"])
def test_exports_leave_the_modalities_out(workspace, kind):
    if kind == "datasets":
        pytest.importorskip("datasets")
    name = {"mmsa": "x.pkl", "parquet": "x.parquet", "croissant": "x.json", "card": "x.md", "datasets": "x"}[
        kind
    ]
    run("mer-data", "export", "--format", kind, "--split", "standard", "--out", name)


def test_the_report_is_made(workspace):
    run("mer-data", "report", "--out", "corpus.html", "--split", "standard")


def test_text_only_is_trained_and_evaluated(workspace):
    options = [
        "--set",
        "model.text_encoder=tiny",
        "--set",
        "training.max_epochs=1",
        "--set",
        "data.split=standard",
    ]
    run("cider", "train", "sample_text_only", *options, "--set", "model.maci=both", "--out", "run")
    out = run("cider", "evaluate", "run", "--rates", "0", "--resamples", "100", "--json")
    assert json.loads(out)


def test_a_model_that_reads_frames_says_so(workspace):
    options = ["--set", "model.text_encoder=tiny", "--set", "data.split=standard"]
    error = run("cider", "train", "sample", *options, "--out", "run", exit_code=1)
    assert "model 'cider' reads audio and vision: found a store without audio and vision" in error
    assert "text_only" in error
