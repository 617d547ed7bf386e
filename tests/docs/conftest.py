"""A folder in which the tutorial was walked, made once; every page gets a copy."""

import shutil
from pathlib import Path

import pytest
from walking import run_all


@pytest.fixture(scope="session")
def walked_folder(tmp_path_factory) -> Path:
    """What is there after the commands of the tutorial, and a home folder with downloads; read it only."""
    folder = tmp_path_factory.mktemp("walk")
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        run_all("tutorial.md")
    return folder


@pytest.fixture
def folder(walked_folder, tmp_path, monkeypatch) -> Path:
    """A copy of it as the current folder."""
    copy = tmp_path / "walk"
    shutil.copytree(walked_folder, copy)
    _enter(copy, monkeypatch)
    return copy


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.setenv("MER_DATA_HOME", "data")
    patch.setenv("HOME", str(folder / "home"))
