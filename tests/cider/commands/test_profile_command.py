import json
import pickle

import pytest

from cider.profiling.parts import MODEL_PARTS
from mer_data.errors import RunError


@pytest.fixture
def tiny_recipe(make_recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    make_recipe().save(path)
    return path


def test_a_recipe_is_measured_in_a_process_of_its_own(home, cider, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = cider("profile", tiny_recipe, "--steps", 1, "--set", "model.layers=2", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["recipe"], told["steps"]) == ("tiny", 1)
    assert set(MODEL_PARTS) < set(told["shares"])
    assert told["paper_table_vi"]["parameters_without_encoder"] == 247_946
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_other_process_finds_missing_stays_one_line():
    error = RunError("no luck", where="here", found=1, expected=2, do="Try again")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back)) == (RunError, str(error))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "no recipe 'nope'"),
        (("sample", "--set", "model.layer=3"), "model.layer: unknown key, did you mean layers?"),
    ],
)
def test_a_wrong_recipe_is_one_line(home, cider, fails, arguments, message):
    assert message in fails(cider("profile", *arguments))


def test_no_steps_are_a_usage_error(home, cider):
    result = cider("profile", "sample", "--steps", 0)
    assert result.exit_code == 2
    assert "0 is not in the range x>=1" in result.output
