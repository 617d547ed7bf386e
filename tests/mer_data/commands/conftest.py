"""The command line in a workspace of its own."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from mer_data.commands import main
from mer_data.workspace import Workspace


@pytest.fixture(autouse=True)
def _offline_and_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import


@pytest.fixture
def invoke():
    """Run ``mer-data`` and expect success; give what it printed."""

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def refuse(workspace_home):
    """Run ``mer-data`` and expect one line of error, exit code 1 and an unchanged workspace."""

    def run(*arguments):
        before = contents(workspace_home)
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        assert contents(workspace_home) == before
        return result.stderr

    return run


@pytest.fixture
def misuse(workspace_home):
    """Run ``mer-data`` with options that click itself refuses (exit code 2); give the last line."""

    def run(*arguments):
        before = contents(workspace_home)
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert contents(workspace_home) == before
        return result.stderr.splitlines()[-1]

    return run


def contents(folder):
    """Every file below ``folder``, hidden ones too, with its bytes and time."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in paths]


@pytest.fixture
def put_store(sample_stores):
    """Copy a store of the small sample corpus into the workspace."""

    def put(alignment="unaligned", dataset="sample", name=None):
        path = Workspace(dataset).store_path(name or alignment)
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(sample_stores[alignment], path))

    return put


@pytest.fixture
def put_split(put_store, invoke):
    """A workspace with one store and its standard split."""
    put_store()
    invoke("standard-split")
    return Workspace("sample").split_path("standard")
