"""``mer-data verify``."""

import json
import shutil

import h5py
import pytest
from click.testing import CliRunner

from mer_data.commands import main
from mer_data.workspace import Workspace


@pytest.fixture
def store(sample_stores, tmp_path):
    return shutil.copy(sample_stores["unaligned"], tmp_path / "store.h5")


def verify(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def test_an_intact_store_ends_with_0(store):
    result = verify(store)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("1 file checked: 0 errors, 0 warnings, ")
    assert result.stderr == ""


def test_an_error_ends_with_1_and_is_in_the_table(store):
    with h5py.File(store, "r+") as file:
        file["audio/values"][0, 0] = float("nan")
    result = verify(store)
    assert result.exit_code == 1
    assert "audio: 1 frames with -inf, inf or NaN (sample000$_$1)" in result.stdout


def test_json_is_a_list_of_findings(store):
    with h5py.File(store, "r+") as file:
        file["utterances/label"][0] = 4.0
    result = verify(store, "--json")
    assert result.exit_code == 1
    findings = json.loads(result.stdout)
    assert findings[0] == {
        "level": "error",
        "artefact": str(store),
        "check": "label-range",
        "message": "labels outside [-3, 3]: 4",
        "ids": ["sample000$_$1"],
        "count": 1,
    }


def test_the_whole_way_leaves_a_sound_workspace(invoke, sample_folder, workspace_home):
    for alignment in ("unaligned", "aligned"):
        invoke("build", "--dataset", "sample", "--source", sample_folder, "--alignment", alignment)
    invoke("standard-split")
    invoke("repartition", "--min-count", 3, "--label-tolerance", 0.1)
    invoke("counterfactual-vocab", "--alignment", "aligned", "--split", "standard")
    assert "5 files checked: 0 errors" in invoke("verify", workspace_home)


def test_make_again_repeats_every_search(invoke, put_store):
    put_store()
    invoke("repartition", "--min-count", 3, "--label-tolerance", 0.1)
    path = Workspace("sample").split_path("ood_binary_seed0")
    assert "make-again" not in invoke("verify", path)
    assert "its recorded parameters give the identical manifest" in invoke("verify", path, "--make-again")
    value = json.loads(path.read_text())
    value["generator"]["seed"] = 1
    path.write_text(json.dumps(value))
    result = verify(path, "--make-again")
    assert result.exit_code == 1
    assert "its recorded parameters give another split" in result.stdout


def test_an_unknown_path_is_one_line(refuse, tmp_path):
    assert "no such file or folder" in refuse("verify", tmp_path / "absent")
