import os
import subprocess
import sys

import pytest

from cider.models import own_code
from cider.models.own_code import code_digests, installed_module, load_code, loaded_files
from cider.models.registry import find_model
from mer_data.errors import RecipeError
from mer_data.files.writing import sha256_file

SOURCE = """
from pathlib import Path
from cider.models.text_only import TextOnly
Path({trace!r}).write_text("it ran")

class Mine(TextOnly):
    pass
"""


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch):
    """What a test loads is forgotten after it."""
    monkeypatch.setattr(own_code, "_LOADED", {})
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("mine_"):
            del sys.modules[name]


@pytest.fixture
def trace(tmp_path):
    """A file that appears when the code runs."""
    return tmp_path / "trace"


@pytest.fixture
def code(tmp_path, trace):
    path = tmp_path / "mine_model.py"
    path.write_text(SOURCE.format(trace=str(trace)), encoding="utf-8")
    return path


# --- what a name alone imports ---


@pytest.mark.parametrize("way", ["current folder", "script folder", "PYTHONPATH"])
def test_a_name_alone_runs_nothing_outside_installations(code, trace, monkeypatch, way):
    if way == "current folder":
        monkeypatch.chdir(code.parent)
        monkeypatch.setattr(sys, "path", [*sys.path, "", str(code.parent)])
    elif way == "script folder":
        monkeypatch.setattr(sys, "path", [str(code.parent), *sys.path])
    else:
        monkeypatch.setenv("PYTHONPATH", f"{os.sep}nowhere{os.pathsep}{code.parent}")
        monkeypatch.setattr(sys, "path", [*sys.path, str(code.parent)])
    with pytest.raises(
        RecipeError, match=r"'mine_model:Mine' is in no installed package.*--code mine_model\.py"
    ):
        find_model("mine_model:Mine")
    assert not trace.exists()


def test_python_as_a_module_does_not_run_the_current_folder_either(code, trace):
    """``python -m cider`` puts the current folder first on Python's path."""
    result = subprocess.run(
        [sys.executable, "-m", "cider", "train", "sample", "--set", "model={name: 'mine_model:Mine'}"],
        cwd=code.parent, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "is in no installed package" in result.stderr
    assert not trace.exists()


def test_the_way_to_modules_is_as_before(monkeypatch):
    before = list(sys.path)
    with pytest.raises(ImportError):
        installed_module("nowhere_at_all")
    assert installed_module("wave").__name__ == "wave"
    assert sys.path == before


# --- files that are named ---


def test_a_file_that_is_named_is_a_module(code, trace):
    load_code([code])
    assert trace.read_text() == "it ran"
    assert find_model("mine_model:Mine").__name__ == "Mine"
    assert sys.modules["mine_model"].__file__ == str(code)
    assert loaded_files()["mine_model"].path == code
    assert code_digests("mine_model:Mine") == {"mine_model": sha256_file(code)}
    assert code_digests("text_only") == {}


def test_a_file_runs_once_until_it_is_another(code, trace):
    load_code([str(code)])
    trace.unlink()
    load_code([code])
    assert not trace.exists()
    code.write_text(code.read_text() + "\nMORE = 1\n", encoding="utf-8")
    load_code([code])
    assert trace.exists()
    assert sys.modules["mine_model"].MORE == 1


def test_files_that_need_each_other_are_named_in_order(tmp_path, code):
    helper = tmp_path / "mine_helper.py"
    helper.write_text("WIDTH = 8\n", encoding="utf-8")
    code.write_text(code.read_text() + "\nfrom mine_helper import WIDTH\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"cannot run the model's code .*mine_helper.*each with --code"):
        load_code([code])
    assert "mine_model" not in sys.modules
    load_code([helper, code])
    assert sys.modules["mine_model"].WIDTH == 8
    assert set(code_digests("mine_model:Mine")) == {"mine_helper", "mine_model"}


def test_a_module_that_python_imported_is_found_with_its_digest(code, monkeypatch):
    """In Python a person imports the module; no command line is needed."""
    monkeypatch.syspath_prepend(str(code.parent))
    __import__("mine_model")
    assert find_model("mine_model:Mine").__name__ == "Mine"
    assert code_digests("mine_model:Mine") == {"mine_model": sha256_file(code)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine_model.txt", "", "not a file of Python code"),
        ("mine-model.py", "", "not a file of Python code"),
        ("torch.py", "", "'torch' is the name of an installed module too"),
        ("wave.py", "", "'wave' is the name of an installed module too"),
        ("mine_wrong.py", "def f(:\n", r"SyntaxError: invalid syntax .*line 1"),
        ("mine_wrong.py", "1 / 0\n", "ZeroDivisionError: division by zero"),
        ("mine_wrong.py", b"\xff\xfe\x00", "cannot run the model's code"),
    ],
)
def test_files_that_cannot_be_loaded_are_told(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=message):
        load_code([path])
    assert loaded_files() == {}
    assert "mine_wrong" not in sys.modules


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(RecipeError, match=r"cannot read the model's code .No such file .*mine_model.py"):
        load_code([tmp_path / "mine_model.py"])
