"""What loads without the heavy libraries, and the size of files; `make lint` checks the layers."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mer_data
from mer_data.sources.catalogue import known_datasets

ROOT = Path(mer_data.__file__).resolve().parents[1]
LIBRARY = sorted(path for package in ("mer_data", "cider") for path in (ROOT / package).rglob("*.py"))
HEAVY = ("torch", "transformers", "h5py", "pandas", "matplotlib", "numba", "scipy", "sklearn")
MAX_LINES = 320
by_path = pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_torch_at_load(path):
    nodes = [node for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return any(name.split(".")[0] == "torch" for name in names)


def python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_there_is_something_to_check():
    assert len(LIBRARY) > 50


def test_only_the_rooms_of_tensors_import_torch():
    own = (path.relative_to(ROOT / "mer_data") for path in LIBRARY if (ROOT / "mer_data") in path.parents)
    found = {str(path) for path in own if imports_torch_at_load(ROOT / "mer_data" / path)}
    rooms = {name.split("/")[0] for name in found - {"statistics/text_features.py"}}
    assert rooms == {"torch_data", "text"}


@pytest.mark.parametrize("room", ["cider.scoring", "cider.reports"])
def test_scores_and_reports_load_without_torch(room):
    code = f"""
import importlib, pkgutil, sys, {room} as room
for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    importlib.import_module(module.name)
sys.stdout.write(str("torch" in sys.modules))
"""
    assert python(code) == "False"


@by_path
def test_files_are_short_enough_to_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@by_path
def test_no_bare_except_and_no_print(path):
    for node in ast.walk(tree_of(path)):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), (
            f"line {node.lineno}: bare except"
        )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "breakpoint"), f"line {node.lineno}: {node.func.id}"


@by_path
def test_no_assert_checks_input(path):
    assert not [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)]


LOADED = f"""
import sys
heavy = [name for name in {HEAVY} if name in sys.modules]
sys.stdout.write(",".join(heavy))
"""


def test_the_command_line_loads_nothing_heavy():
    assert python("import mer_data.commands" + LOADED) == ""


@pytest.mark.parametrize("arguments", [["--help"], ["statistics", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
from mer_data.commands import main
try:
    main({arguments!r})
except SystemExit:
    pass
sys.stdout.write("|")
"""
    assert python(code + LOADED).rsplit("|", 1)[1] == ""


def test_a_store_and_a_split_are_made_without_torch(sample_folder, tmp_path):
    code = f"""
import sys
from mer_data.commands import main
for arguments in (
    ["build", "--dataset", "sample", "--source", {str(sample_folder)!r}],
    ["build", "--dataset", "sample", "--source", {str(sample_folder)!r}, "--alignment", "aligned"],
    ["standard-split"],
    ["repartition", "--min-count", "3", "--label-tolerance", "0.1"],
    ["counterfactual-vocab", "--alignment", "aligned", "--split", "standard"],
):
    main(arguments, standalone_mode=False)
sys.stdout.write("|" + ",".join(name for name in ("torch", "transformers", "cider") if name in sys.modules))
"""
    assert python(code, MER_DATA_HOME=str(tmp_path / "home")).rsplit("|", 1)[1] == ""
    assert (tmp_path / "home/sample/splits/ood_binary_seed0.json").is_file()


def test_cli_py_is_the_same_command_line():
    result = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("Usage: cli.py [OPTIONS] COMMAND")
    assert "counterfactual-vocab" in result.stdout


def complete(shell, words, index):
    environment = {"_MER_DATA_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
    code = "from mer_data.commands import main; main(prog_name='mer-data')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_shells_complete_dataset_names():
    assert complete("zsh", "mer-data build --dataset ", 3)[1::3] == known_datasets()
    assert complete("bash", "mer-data build --dataset mos", 3) == ["plain,mosei", "plain,mosi"]
    assert complete("bash", "mer-data statistics --dataset sa", 3) == ["plain,sample"]


def test_shells_complete_verbs_and_choices():
    assert complete("bash", "mer-data st", 1) == ["plain,standard-split", "plain,statistics"]
    assert complete("bash", "mer-data build --alignment ", 3) == ["plain,unaligned", "plain,aligned"]
