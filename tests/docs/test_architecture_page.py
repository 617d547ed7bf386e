"""docs/architecture.md names rooms and files that exist, in the order of the contract."""

import re

import pytest
import tomllib
from pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]


def rooms_of_page(package):
    """Names of the first column of the package's table, in order."""
    table = PAGE.split(f"| `{package}/` |", 1)[1].split("\n\n", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [re.sub(r"/$|\.py$", "", name) for row in rows for name in re.findall(r"`([^`]+)`", row)]


def floors_of_contract(package):
    (contract,) = (one for one in CONTRACTS if one.get("containers") == [package])
    return {
        room.strip(): number
        for number, layer in enumerate(contract["layers"])
        for room in re.split(r"[|:]", layer)
    }


@pytest.mark.parametrize("package", ["mer_data", "cider"])
def test_rooms_are_in_the_order_of_the_contract(package):
    floors = floors_of_contract(package)
    listed = [floors[name] for name in rooms_of_page(package)]
    assert len(listed) > 10
    rest = listed.index(floors["workspace"]) if package == "mer_data" else len(listed)
    assert listed[:rest] == sorted(listed[:rest])


def test_every_room_of_cider_is_on_the_page():
    assert set(floors_of_contract("cider")) - set(rooms_of_page("cider")) == {"__main__", "cli_options"}


def test_every_path_on_the_page_exists():
    paths = set(re.findall(r"`((?:mer_data|cider|manifests)/[\w./]+)`", PAGE))
    assert len(paths) > 10
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
