import json

import pytest

from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace


def split_path():
    return Workspace("sample").split_path("standard")


def test_writes_the_published_folds(invoke, put_store):
    store = FeatureStore.open(put_store())
    output = invoke("standard-split").splitlines()
    split = SplitManifest.load(split_path())
    folds = dict(zip(store.utterances["id"], store.utterances["fold"], strict=True))
    for fold, ids in split.splits.items():
        assert ids == tuple(sorted(name for name, own in folds.items() if own == fold))
    sizes = " / ".join(str(len(ids)) for ids in split.splits.values())
    assert output == [
        f"{sizes} (train / valid / test) in {split_path()}.",
        f"Cite it as {split.digest}.",
        "Next: mer-data statistics --dataset sample --split standard",
    ]


def test_json(invoke, put_store):
    put_store()
    result = json.loads(invoke("standard-split", "--json"))
    split = SplitManifest.load(split_path())
    assert result["digest"] == split.digest
    assert result["sizes"] == {fold: len(ids) for fold, ids in split.splits.items()}
    assert result["shift"] == split.shift


def test_stores_that_agree_need_no_choice_and_give_the_same_bytes(invoke, put_store):
    put_store()
    invoke("standard-split")
    first = split_path().read_bytes()
    put_store("aligned")
    invoke("standard-split", "--force")
    assert split_path().read_bytes() == first
    output = invoke("standard-split", "--force", "--alignment", "unaligned")
    assert output.splitlines()[-1].endswith("--alignment unaligned --split standard")


def test_an_existing_split_needs_force(invoke, refuse, put_split):
    put_split.write_text("{}")
    assert "standard.json exists already. Pass --force" in refuse("standard-split")
    invoke("standard-split", "--force")
    assert SplitManifest.load(put_split).kind == "standard"


def test_out(invoke, put_store, tmp_path):
    put_store()
    target = tmp_path / "mine.json"
    output = invoke("standard-split", "--out", target)
    assert SplitManifest.load(target)
    assert not split_path().exists()
    assert output.splitlines()[-1].endswith(f"--split {target}")


def test_without_a_store_the_command_that_makes_one_is_named(refuse):
    assert "no store in the workspace" in refuse("standard-split")
    assert "`mer-data build --dataset sample --alignment unaligned`" in refuse(
        "standard-split", "--dataset", "sample"
    )


def test_several_datasets_are_listed(refuse, put_store):
    put_store()
    put_store(dataset="mosi")
    assert "found mosi, sample. Choose one with --dataset NAME." in refuse("standard-split")


@pytest.mark.parametrize("option", ["--seed", "--task"])
def test_options_of_other_verbs_are_refused(misuse, option):
    assert "No such option" in misuse("standard-split", option, "1")
