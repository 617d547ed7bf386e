import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mer_data as md
from mer_data.errors import MerDataError, SplitError, WorkspaceError
from mer_data.splits import SplitManifest, standard_split
from mer_data.workspace import Workspace


@pytest.fixture
def data(workspace_home, sample_stores):
    """The sample's unaligned store with its standard folds, as a user opens it."""
    workspace = Workspace("sample")
    path = workspace.store_path("unaligned")
    path.parent.mkdir(parents=True)
    path.write_bytes(sample_stores["unaligned"].read_bytes())
    from mer_data.store.reader import FeatureStore

    store = FeatureStore.open(path)
    manifest = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
    manifest.save(workspace.split_path("standard"))
    return md.load("sample", split="standard")


def test_an_utterance_is_found_by_id_row_and_slice(data):
    first = data.store.utterances.iloc[0]
    by_id = data[first["id"]]
    assert (by_id.id, by_id.text) == (first["id"], first["text"])
    assert by_id.label == pytest.approx(float(first["label"]))
    np.testing.assert_array_equal(data[0].audio, by_id.audio)
    assert [one.id for one in data[:3]] == data.store.utterances["id"][:3].tolist()
    assert data[-1].id == data.store.utterances["id"].iloc[-1]


def test_an_utterance_knows_its_fold(data):
    name = data.split.splits["test"][0]
    assert data[name].fold == "test"


def test_membership_and_length(data):
    assert len(data) == len(data.store) == len(list(data))
    assert data[3].id in data
    assert "nobody$_$1" not in data


def test_unknown_keys_are_the_errors_of_python(data):
    with pytest.raises(KeyError, match="no utterance 'nobody"):
        data["nobody$_$1"]
    with pytest.raises(IndexError, match="out of bounds of"):
        data[len(data)]


def test_a_loader_gives_every_utterance_of_a_fold_once(data):
    index = torch.cat([batch.index for batch in data.loader("train", batch_size=7, seed=3)])
    assert sorted(index.tolist()) == data.rows["train"].tolist()


def test_the_same_seed_gives_the_same_batches(data):
    one, again, other = (
        [batch.index.tolist() for batch in data.loader("train", batch_size=7, seed=seed)]
        for seed in (3, 3, 4)
    )
    assert one == again != other


def test_without_a_seed_the_order_is_that_of_the_store(data):
    index = torch.cat([batch.index for batch in data.loader("valid", batch_size=7)])
    assert index.tolist() == data.rows["valid"].tolist()


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_a_rate_is_the_share_that_is_lost(data, rate):
    lost, there = 0, 0
    whole = data.loader("train", batch_size=16)
    for batch, complete in zip(
        data.loader("train", batch_size=16, missing=md.rmfm(rate)), whole, strict=True
    ):
        mask = complete.audio_mask
        there += int(mask.sum())
        lost += int((batch.audio[mask] == 0).all(dim=1).sum())
    assert lost / there == pytest.approx(rate, abs=0.05)


def test_a_random_rate_is_drawn_for_every_utterance(data):
    (batch,) = data.loader("valid", batch_size=1000, missing=md.rmfm(), seed=0)
    gone = ((batch.audio == 0).all(dim=2) & batch.audio_mask).sum(1) / batch.audio_mask.sum(1).clamp(min=1)
    assert gone.std() > 0.15


def test_a_plain_loader_of_torch_works_with_dataset_and_collate(data):
    loader = DataLoader(data.dataset("test"), batch_size=5, collate_fn=data.collate)
    assert sum(len(batch) for batch in loader) == len(data.rows["test"])


def test_wrong_folds_and_patterns_are_one_line(data):
    with pytest.raises(SplitError, match="no such fold: found 'dev', expected train or valid or test"):
        next(iter(data.loader("dev")))
    with pytest.raises(MerDataError, match=r"rate"):
        next(iter(data.loader("train", missing=md.rmfm(1.5))))


def test_a_missing_split_names_the_command(data):
    with pytest.raises(WorkspaceError, match=r"no split 'x'.*mer-data repartition"):
        md.load("sample", split="x")


def test_the_representation_has_the_sizes(data):
    sizes = {fold: len(rows) for fold, rows in data.rows.items()}
    assert repr(data) == (
        f"CorpusSplit(sample, unaligned, standard split, binary: train {sizes['train']},"
        f" valid {sizes['valid']}, test {sizes['test']})"
    )
    assert repr(data[0]).startswith(f"Utterance('{data[0].id}', label={data[0].label:+.1f}, fold=")
    assert f"<td>{sizes['train']} utterances</td>" in data._repr_html_()


def test_text_paths_and_paths_are_the_same(data):
    path = Workspace("sample").split_path("standard")
    assert md.load("sample", split=path).split == md.load("sample", split=str(path)).split
    assert SplitManifest.load(path) == data.split


def test_tab_shows_the_api_and_importing_it_loads_nothing_heavy():
    code = "import sys, mer_data; print(dir(mer_data), {'torch', 'h5py', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{sorted(md.__all__)} set()"
