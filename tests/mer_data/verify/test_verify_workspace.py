"""Whole folders, and what is nothing we know."""

import shutil

import h5py
import pytest

from mer_data.build import build_store
from mer_data.errors import WorkspaceError
from mer_data.sources import open_source
from mer_data.sources.sample import SampleSize, write_sample
from mer_data.verify import verify


def errors(result):
    return {(finding.artefact.name, finding.check) for finding in result.findings if finding.level == "error"}


def test_a_workspace_and_a_dataset_folder_hold_the_same_files(dataset, workspace_home):
    whole, part = verify(workspace_home), verify(dataset)
    assert whole == part
    assert [path.name for path in whole.artefacts] == [
        "aligned.h5",
        "unaligned.h5",
        "standard.json",
        "unaligned.standard.binary.none.h5",
        "unaligned.standard.binary.vocabulary.json",
    ]
    assert errors(whole) == set()
    assert whole.lines[-1].startswith("5 files checked: 0 errors, ")


def test_files_of_a_store_that_is_gone_are_errors(dataset):
    for path in (dataset / "store").iterdir():
        path.unlink()
    assert errors(verify(dataset)) == {
        ("standard.json", "store-digest"),
        ("unaligned.standard.binary.none.h5", "store-digest"),
        ("unaligned.standard.binary.vocabulary.json", "store-digest"),
    }


def test_a_store_of_another_corpus_beside_is_a_warning(dataset, tmp_path):
    write_sample(tmp_path / "other", 1, SampleSize(3, 4))
    build_store(open_source("sample", tmp_path / "other"), dataset / "store/b.h5", alignment="unaligned")
    result = verify(dataset)
    warnings = [finding for finding in result.findings if finding.check == "one-corpus"]
    assert [(f.level, f.artefact.name) for f in warnings] == [("warning", "aligned.h5")]
    assert "b.h5" in warnings[0].message
    assert errors(result) == set()


def test_damaged_files_are_known_by_their_place(dataset):
    (dataset / "store/aligned.h5").write_bytes(b"not HDF5")
    (dataset / "splits/standard.json").write_text("not JSON")
    found = errors(verify(dataset))
    assert {("aligned.h5", "readable"), ("standard.json", "loads")} <= found
    assert errors(verify(dataset / "store/aligned.h5")) == {("aligned.h5", "readable")}
    assert errors(verify(dataset / "splits/standard.json")) == {("standard.json", "loads")}


def test_a_truncated_store_is_known_by_its_first_bytes(small_stores, tmp_path):
    path = tmp_path / "somewhere.h5"
    path.write_bytes(small_stores["aligned"].read_bytes()[:4000])
    assert errors(verify(path)) == {("somewhere.h5", "readable")}


def test_unfinished_files_are_left_alone(dataset):
    shutil.copy(dataset / "store/aligned.h5", dataset / "store/.new.h5")
    assert len(verify(dataset).artefacts) == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "no such file or folder"),
        ("empty", "no store, split or statistics in"),
        ("text.txt", "is nothing that mer-data makes"),
        ("list.json", "is nothing that mer-data makes"),
        ("other.json", "is nothing that mer-data makes"),
        ("other.h5", "is nothing that mer-data makes"),
    ],
)
def test_what_we_do_not_know_is_one_line(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "other.json").write_text('{"format": "mer-data/else"}')
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(WorkspaceError, match=message):
        verify(tmp_path / name)


def test_findings_are_a_table_with_errors_first(dataset):
    with h5py.File(dataset / "store/unaligned.h5", "r+") as file:
        file["utterances/label"][3] = 4.0
    lines = verify(dataset / "store/unaligned.h5").lines
    assert lines[0].split() == ["level", "artefact", "check", "message"]
    assert [line.split()[0] for line in lines[1:-1]] == ["error"] * 3 + ["note"] * 3
    assert lines[1].endswith("label-range       labels outside [-3, 3]: 4 (sample000$_$4)")
    assert lines[-1] == "1 file checked: 3 errors, 0 warnings, 3 notes."
