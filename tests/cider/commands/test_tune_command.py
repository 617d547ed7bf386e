import json

import pandas as pd
import pytest

from cider.recipe.schema import load_recipe


@pytest.fixture
def tiny_recipe(make_recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    make_recipe().save(path)
    return path


def test_a_recipe_is_tuned_and_tuned_on(home, cider, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = cider("tune", tiny_recipe, "--trials", 1, "--set", "model.layers=1")
    assert first.exit_code == 0, first.output
    summary, _, following = first.stdout.splitlines()
    assert summary.startswith("Trials: 1 complete. Best is trial 0 with validation loss ")
    assert following == "Next: cider train runs/tune/tiny/best.yaml"
    assert first.stderr.startswith("Trial 0: validation loss ")

    second = cider("tune", tiny_recipe, "--trials", 2, "--set", "model.layers=1", "--json")
    assert second.exit_code == 0, second.output
    told = json.loads(second.stdout)
    assert told["trials"] == {"complete": 2}
    assert second.stderr.startswith("Trial 1: ")
    table = pd.read_csv(told["table"])
    assert told["best"]["validation_loss"] == table["validation_loss"].min()
    assert "model.layers" not in told["best"]["values"]
    recipe = load_recipe(tmp_path / told["recipe"])
    for key, value in told["best"]["values"].items():
        group, name = key.split(".")
        assert getattr(getattr(recipe, group), name) == value

    trained = cider("train", told["recipe"], "--json")
    assert trained.exit_code == 0, trained.output
    assert -json.loads(trained.stdout)["best_score"] == pytest.approx(
        told["best"]["validation_loss"], abs=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--storage", "sqlite:////no/such/folder/study.db"), "unable to open database file"),
        (("--storage", "nobase://me:s3cret@host/db"), "in nobase://me:***@host/db"),
        (("--set", "data.split=nope"), "no split 'nope'"),
        (("--set", "model.layer=3"), "unknown key, did you mean layers?"),
    ],
)
def test_mistakes_are_one_line(home, cider, fails, tiny_recipe, tmp_path, arguments, message):
    line = fails(cider("tune", tiny_recipe, "--trials", 1, "--out", tmp_path / "study", *arguments))
    assert message in line
    assert "s3cret" not in line
    assert not (tmp_path / "study").exists()


def test_another_recipe_on_the_same_study_is_refused(home, cider, fails, tiny_recipe, tmp_path):
    command = ("tune", tiny_recipe, "--trials", 1, "--timeout", 0, "--out", tmp_path / "study")
    assert "no complete trial" in fails(cider(*command))
    assert "another recipe" in fails(cider(*command, "--set", "training.patience=3"))
