import functools
import json

import pytest

from mer_data.sources import sample
from mer_data.workspace import Workspace

FILES = ["folds.json", "sample_face.csd", "sample_labels.csd", "sample_tone.csd", "sample_words.csd"]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(sample, "SampleSize", functools.partial(sample.SampleSize, 4, 5))


def labels():
    return (Workspace("sample").raw / "sample_labels.csd").read_bytes()


def test_writes_the_corpus_and_says_where_and_what_next(invoke):
    output = invoke("sample").splitlines()
    raw = Workspace("sample").raw
    assert sorted(path.name for path in raw.iterdir()) == FILES
    assert output == [f"Wrote 5 files to {raw}.", "Next: mer-data build --dataset sample"]


def test_json(invoke):
    result = json.loads(invoke("sample", "--seed", 3, "--json"))
    assert result["seed"] == 3
    assert sorted(path.rsplit("/", 1)[1] for path in result["files"]) == FILES


def test_existing_files_need_force(invoke, refuse):
    invoke("sample")
    first = labels()
    assert "sample_labels.csd exists already. Pass --force" in refuse("sample", "--seed", 1)
    invoke("sample", "--seed", 1, "--force")
    assert labels() != first
    invoke("sample", "--force")
    assert labels() == first


@pytest.mark.parametrize("seed", ["-1", "x", "1.5"])
def test_impossible_seed(misuse, seed):
    assert "Invalid value for '--seed'" in misuse("sample", "--seed", seed)


def test_a_file_in_the_way_is_one_line(refuse, workspace_home):
    workspace_home.write_text("not a folder")
    assert f"({workspace_home / 'sample' / 'raw'})" in refuse("sample")
