"""Printing never fails, whatever the terminal or pipe can show, and files are UTF-8 in any locale."""

import json
import os
import subprocess
import sys

import pytest
from builders import make_store, make_words, with_video

TEXT = "café 你好 😀 ok"
SURROUNDINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(params=SURROUNDINGS)
def surroundings(request):
    """Variables of an environment that cannot show every character."""
    return SURROUNDINGS[request.param]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store whose texts few encodings have."""
    folder = tmp_path_factory.mktemp("straße")
    words = make_words(TEXT.encode(), 0, 1) + make_words("bad plot", 1.25, 2.25)
    make_store(folder, with_video(words=words)).close()
    return folder / "store.h5"


def run(command, *arguments, **environment):
    code = f"from {command}.commands import main; main()"
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")
    }
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=kept | environment,
        capture_output=True,
        check=False,
    )


def test_an_utterance_is_shown_with_escapes(store, surroundings):
    done = run("mer_data", "inspect", store, "--utterance", "va$_$1", **surroundings)
    assert done.returncode == 0, done.stderr
    assert b"ok" in done.stdout
    whole = done.stdout.decode("utf-8", errors="replace")
    assert "\\u4f60" in whole or "你" in whole  # click itself writes UTF-8 where the encoding is ASCII


def test_json_is_complete_and_the_same_everywhere(store, surroundings):
    done = run("mer_data", "inspect", store, "--utterance", "va$_$1", "--json", **surroundings)
    assert json.loads(done.stdout)["text"] == TEXT


@pytest.mark.parametrize("command", ["mer_data", "cider"])
def test_help_is_shown(command, surroundings):
    done = run(command, "--help", **surroundings)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_error_is_one_line_with_escapes(tmp_path, surroundings):
    done = run("mer_data", "inspect", tmp_path / "你好.h5", **surroundings)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert done.stderr.count(b"\n") == 1


def test_a_wrong_override_of_cider_is_one_line_with_escapes():
    done = run("cider", "train", "sample", "--set", "nämé=1", **SURROUNDINGS["C"])
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert done.stderr.count(b"\n") == 1


def test_files_are_utf_8_in_any_locale(store, tmp_path):
    """The folder's name is no text in the C locale; what is written names it all the same."""
    home = tmp_path / "données"
    done = run(
        "mer_data",
        "standard-split",
        "--alignment",
        store,
        "--dataset",
        "sample",
        MER_DATA_HOME=str(home),
        **SURROUNDINGS["C"],
    )
    assert done.returncode == 0, done.stderr
    written = [path for path in home.rglob("*") if path.is_file()]
    assert written
    for path in written:
        path.read_bytes().decode("utf-8")
