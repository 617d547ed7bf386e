import json

import pytest

from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace


@pytest.fixture
def build(sample_folder):
    return ("build", "--dataset", "sample", "--source", sample_folder)


def store_path(alignment="unaligned"):
    return Workspace("sample").store_path(alignment)


def test_builds_the_unaligned_store_by_default(invoke, build, sample_stores):
    output = invoke(*build).splitlines()
    store = FeatureStore.open(store_path())
    assert store.alignment == "unaligned"
    assert store.content_digest == FeatureStore.open(sample_stores["unaligned"]).content_digest
    assert output[0] == f"{len(store)} utterances in {store.path} ({store.utterance_digest})."
    assert any(line.startswith("  audio values not finite: ") for line in output)
    assert output[-1] == "Next: mer-data repartition --dataset sample --task binary"


def test_builds_the_aligned_store(invoke, build):
    invoke(*build, "--alignment", "aligned")
    assert FeatureStore.open(store_path("aligned")).alignment == "aligned"
    assert not store_path().exists()


def test_json(invoke, build):
    result = json.loads(invoke(*build, "--json"))
    store = FeatureStore.open(result["store"])
    assert result["utterances"] == len(store)
    assert result["utterance_digest"] == store.utterance_digest
    assert result["cleaning"]["zero_length_segments"] == 1
    assert result["dropped"] == []


def test_reads_the_raw_folder_of_the_workspace(invoke, sample_folder):
    raw = Workspace("sample").raw
    raw.parent.mkdir(parents=True)
    raw.symlink_to(sample_folder)
    invoke("build", "--dataset", "sample")
    assert store_path().is_file()


def test_out_goes_elsewhere_and_the_next_command_finds_it(invoke, build, tmp_path):
    target = tmp_path / "a b" / "mine.h5"
    output = invoke(*build, "--out", target)
    assert FeatureStore.open(target)
    assert not Workspace("sample").root.exists()
    assert output.splitlines()[-1].endswith(f"--alignment '{target}'")


def test_an_existing_store_needs_force(invoke, refuse, build):
    invoke(*build)
    first = FeatureStore.open(store_path()).attribute("tokenizer")
    assert f"{store_path()} exists already. Pass --force to replace it" in refuse(*build)
    store_path().write_bytes(b"damaged")
    invoke(*build, "--force")
    assert FeatureStore.open(store_path()).attribute("tokenizer") == first


def test_a_broken_source_leaves_the_old_store_and_no_half_file(invoke, refuse, build, tmp_path):
    invoke(*build)
    source = tmp_path / "broken"
    source.mkdir()
    for path in build[4].iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    face = source / "sample_face.csd"
    face.write_bytes(face.read_bytes()[:5000])
    assert "sample_face.csd" in refuse("build", "--dataset", "sample", "--source", source, "--force")
    assert [path.name for path in store_path().parent.iterdir()] == ["unaligned.h5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "nosuch"), "unknown dataset: found 'nosuch', expected mosei or mosi or sample."),
        (("--dataset", "sample"), "or run `mer-data sample` first."),
        (("--dataset", "mosi"), "Pass --source with the files of CMU Multimodal"),
        (("--dataset", "sample", "--source", "nowhere"), "no source: found nowhere"),
    ],
)
def test_what_cannot_be_built(refuse, arguments, message):
    assert message in refuse("build", *arguments)


def test_an_unknown_tokenizer_says_what_to_do(refuse, build):
    assert "pass --tokenizer with a local folder or 'tiny'" in refuse(*build, "--tokenizer", "nosuch")


def test_an_unknown_feature_set_is_one_line(refuse, build):
    assert "nosuch" in refuse(*build, "--audio", "nosuch")


def test_a_target_that_is_a_folder_is_one_line(refuse, build, tmp_path):
    assert "exists already" in refuse(*build, "--out", tmp_path)
    assert "Is a directory" in refuse(*build, "--out", tmp_path, "--force")
    assert not list(tmp_path.glob(".*.partial"))


def test_bad_options(misuse):
    assert "Missing option '--dataset'" in misuse("build")
    assert "'sideways' is not one of" in misuse("build", "--dataset", "sample", "--alignment", "sideways")
