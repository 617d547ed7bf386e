"""A folder in which not every file can be taken in: each is told, and the exit code says it."""

import json

import pytest
from builders import mmsa_folds, write_csd, write_pickle
from click.testing import CliRunner

from mer_data.commands import main
from mer_data.text.tokenizer import Tokenizer
from mer_data.workspace import Workspace

VIDEOS = ["03bSnISJMiM", "0h-zjBukYpk", "2iD-tVS8NPw"]


@pytest.fixture
def downloads(tmp_path):
    """One good file, one that is damaged, one that is nothing known."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    write_csd(folder / "good.csd", "OpenFace_2", dict.fromkeys(VIDEOS, ([[1.0]], [[0, 1]])))
    (folder / "page.csd").write_text("<html>")
    (folder / "notes.txt").write_text("hello")
    return folder


def run(*arguments):
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_what_fails_is_told_after_the_rest_and_the_exit_code_is_1(downloads):
    result = run(downloads)
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith(f"{downloads / 'good.csd'}: openface2 of mosi, now ")
    assert lines[1].startswith(f"{downloads / 'notes.txt'}: not recognised. not a source file")
    assert lines[2].startswith(f"{downloads / 'page.csd'}: NOT imported. a web page, not a source file")
    assert lines[3] == "Next: mer-data build --dataset mosi"
    assert (Workspace("mosi").raw / "CMU_MOSI_OpenFace2.csd").is_file()


def test_everything_is_in_the_json(downloads):
    result = run(downloads, "--json")
    content = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [item["dataset"] for item in content["imported"]] == ["mosi"]
    assert list(content["failed"]) == [str(downloads / "page.csd")]
    assert list(content["not_recognised"]) == [str(downloads / "notes.txt")]


def test_files_that_are_nothing_known_are_no_failure(downloads):
    (downloads / "page.csd").unlink()
    assert run(downloads).exit_code == 0


def test_a_folder_where_everything_fails(downloads):
    (downloads / "good.csd").unlink()
    result = run(downloads)
    assert result.exit_code == 1
    assert "Next:" not in result.stdout
    assert isinstance(result.exception, SystemExit)


def test_what_a_processed_file_had_mended_is_told(tmp_path):
    folds = mmsa_folds(Tokenizer.from_pretrained("tiny", ["good film", "bad plot indeed", "it was", "dull"]))
    for fold in folds.values():
        fold["raw_text"] = [text.encode() for text in fold["raw_text"]]
    path = write_pickle(tmp_path / "x.pkl", folds)
    result = run(path, "--dataset", "sample", "--tokenizer", "tiny")
    assert result.exit_code == 0, result.output
    assert "  texts of bytes decoded: 4" in result.stdout.splitlines()
    (item,) = json.loads(run(path, "--dataset", "sample", "--tokenizer", "tiny", "--json").stdout)["imported"]
    assert item["changed"]["texts_of_bytes_decoded"] == 4
    assert item["dropped"] == []
