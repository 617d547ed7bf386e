"""``mer-data sources``, ``cite``, ``import`` and ``new-source``."""

import json

import h5py
import numpy as np
import pytest
from builders import write_csd
from processed_files import processed, shuffled, standard_ids, write_cider

from mer_data.sources import load_source_manifest
from mer_data.workspace import Workspace

CONTENT = (np.ones((3, 4), np.float32), np.array([[0, 1], [1, 2], [2, 3]]))


@pytest.fixture
def covarep(tmp_path):
    return write_csd(tmp_path / "any name", "COVAREP", {"03bSnISJMiM": CONTENT})


# --- sources ---


def test_sources_lists_datasets_and_what_is_there(invoke, put_store, covarep):
    put_store()
    invoke("import", covarep)
    output = invoke("sources").splitlines()
    assert f"mosi: {load_source_manifest('mosi').title}" in output
    assert "  1 of 4 files; stores: none; splits: none" in output
    assert "  no downloads; stores: unaligned; splits: none" in output
    states = {entry["name"]: entry for entry in json.loads(invoke("sources", "--json"))["datasets"]}
    assert list(states) == ["mosei", "mosi", "sample"]
    assert (states["mosi"]["files_present"], states["sample"]["stores"]) == (1, ["unaligned"])


def test_sources_of_one_dataset_lists_its_files(invoke, covarep):
    invoke("import", covarep)
    output = invoke("sources", "mosi")
    assert "  covarep: CMU_MOSI_COVAREP.csd (audio, default, there)" in output
    assert "  words: CMU_MOSI_TimestampedWords.csd (words, default, absent)" in output
    assert "cider_ood: Out-of-distribution pickles of CIDer, hub:GWZhong/MSA_OOD_Dataset_in_CIDer" in output
    assert "(audio, default, verified)" in invoke("sources", "mosi", "--check")
    files = json.loads(invoke("sources", "mosi", "--json"))["files"]
    assert len(files) == len(list(load_source_manifest("mosi").published()))
    assert files[0]["addresses"] == [
        "http://immortal.multicomp.cs.cmu.edu/CMU-MOSI/labels/CMU_MOSI_Opinion_Labels.csd"
    ]


def test_sources_sees_a_file_that_changed(invoke, covarep):
    invoke("import", covarep)
    path = Workspace("mosi").raw / "CMU_MOSI_COVAREP.csd"
    content = bytearray(path.read_bytes())
    path.write_bytes(content + b"x")
    assert f"wrong, {len(content) + 1} bytes, recorded were {len(content)})" in invoke("sources", "mosi")
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:  # sound, and as large as before
        features = next(iter(file["COVAREP/data"].values()))["features"]
        features[...] = features[...] + 1
    assert path.stat().st_size == len(content)
    assert "(audio, default, there)" in invoke("sources", "mosi")
    assert "is not the file that was recorded first" in invoke("sources", "mosi", "--check")


def test_a_broken_manifest_hides_no_other(invoke):
    path = Workspace("own").source_manifest
    path.parent.mkdir(parents=True)
    path.write_text("dataset: own\n")
    output = invoke("sources")
    assert f"mosi: {load_source_manifest('mosi').title}" in output
    assert "own: wrong source manifest (schema_version: Field required" in output
    result = json.loads(invoke("sources", "--json"))
    assert [entry["name"] for entry in result["datasets"]] == ["mosei", "mosi", "sample"]
    assert str(path) in result["broken"]["own"]


# --- cite ---


def test_cite_prints_bibtex(invoke):
    assert invoke("cite", "mosi") == load_source_manifest("mosi").citation
    assert invoke("cite", "mosei").startswith("@inproceedings{zadeh2018multimodal,")
    found = invoke("cite", "mosei", "--also", "cider_ood", "--also", "casp")
    assert [line for line in found.splitlines() if line.startswith("@")] == [
        "@inproceedings{zadeh2018multimodal,",
        "@misc{zhong2025cider,",
        "@inproceedings{guo2025bridging,",
    ]
    assert len(json.loads(invoke("cite", "mosi", "--also", "all", "--json"))["bibtex"]) == 4


def test_cite_knows_no_other_names(refuse):
    assert "unknown dataset" in refuse("cite", "none")
    assert "no collection 'x' of mosi: expected sdk, mmsa," in refuse("cite", "mosi", "--also", "x")


# --- import ---


def test_import_says_what_it_made_of_what(invoke, covarep):
    target = Workspace("mosi").raw / "CMU_MOSI_COVAREP.csd"
    output = invoke("import", covarep).splitlines()
    assert output == [f"{covarep}: covarep of mosi, now {target}", "Next: mer-data build --dataset mosi"]
    assert "there before as" in invoke("import", covarep)


def test_import_of_a_processed_file_can_be_followed(invoke, tmp_path, bert_pieces):
    path = write_cider(tmp_path / "x", processed(shuffled(standard_ids("mosi"))))
    output = invoke("import", path, "--task", "binary").splitlines()
    assert output[0].startswith(f"{path}: unaligned store and ood split of mosi, now ")
    assert output[1] == (
        "Next: mer-data statistics --dataset mosi --alignment cider_ood_unaligned --split cider_ood_binary"
    )
    (result,) = json.loads(invoke("import", path, "--task", "binary", "--json"))["imported"]
    assert result["state"] == "present"
    assert result["split"] == str(Workspace("mosi").split_path("cider_ood_binary"))
    invoke(
        "repartition", "--dataset", "mosi", "--from-manifest", result["split"], "--out", tmp_path / "s.json"
    )


def test_import_tells_what_it_did_not_recognise(invoke, tmp_path, covarep):
    (tmp_path / "notes.txt").write_text("x")
    output = invoke("import", tmp_path)
    assert f"{tmp_path / 'notes.txt'}: not recognised. not a source file in" in output


def test_what_cannot_be_imported(refuse, tmp_path):
    (tmp_path / "x").write_text("x")
    assert "not a source file" in refuse("import", tmp_path / "x")
    assert "no such file or folder: found nowhere" in refuse("import", "nowhere")


# --- new-source ---


def test_new_source_writes_a_manifest_that_is_known(invoke):
    output = invoke("new-source", "pom")
    assert str(Workspace("pom").source_manifest) in output
    assert "Next: mer-data build --dataset pom" in output
    assert "pom: pom" in invoke("sources")
    assert json.loads(invoke("new-source", "other", "--json"))["found"] == []


def test_new_source_tells_what_it_found(invoke, tmp_path):
    write_csd(tmp_path / "a.csd", "COVAREP", {"v": CONTENT})
    output = invoke("new-source", "pom", "--folder", tmp_path)
    assert "  a.csd: root 'COVAREP', audio, 1 videos, 4 columns, rows of 1 s (1 Hz)" in output


def test_a_manifest_that_is_there_is_replaced_by_force_only(invoke, refuse):
    invoke("new-source", "pom")
    assert refuse("new-source", "pom").endswith("exists already. Pass --force to replace it.\n")
    invoke("new-source", "pom", "--force")


def test_names_that_cannot_be(refuse):
    assert "mosi is described already" in refuse("new-source", "mosi")
    assert "not a name for a dataset" in refuse("new-source", "a/b")
