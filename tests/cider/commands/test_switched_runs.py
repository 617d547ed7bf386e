"""The ablations of paper Table V that change the architecture, from the command line."""

import json

import pytest

from cider.profiling.parts import MODEL_PARTS, OTHER
from cider.training.step_parts import LOADING

WSAM, MCT = "model.word_alignment=false", "model.fusion=vanilla"


@pytest.fixture
def tiny_recipe(make_recipe, tmp_path):
    path = tmp_path / "tiny.yaml"
    make_recipe().save(path)
    return path


@pytest.mark.parametrize("switch", [WSAM, MCT])
def test_a_switched_run_is_trained_evaluated_and_read_again(home, cider, tiny_recipe, tmp_path, switch):
    folder = tmp_path / "run"
    trained = cider("train", tiny_recipe, "--set", switch, "--out", folder)
    assert trained.exit_code == 0, trained.output
    (epoch,) = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(
        epoch["train"][name] > 0
        for name in ("complete", "incomplete", "reconstruction", "attention", "joint")
    )
    evaluated = cider("evaluate", folder, "--rates", "0,0.5", "--json")
    assert evaluated.exit_code == 0, evaluated.output
    store = home / "sample" / "store" / "unaligned.h5"
    predicted = cider("predict", folder, "--store", store, "--tau", "0.5", "--json")
    assert predicted.exit_code == 0, predicted.output


def test_a_recipe_without_word_alignment_is_profiled(home, cider, tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cider("profile", tiny_recipe, "--steps", 1, "--set", WSAM, "--set", MCT, "--json")
    assert result.exit_code == 0, result.output
    shares = json.loads(result.stdout)["shares"]
    first, *between, last = shares
    assert (first, last) == (LOADING, OTHER)
    assert set(MODEL_PARTS) < set(between)
    assert shares["word alignment"] == 0
    assert shares["composite transformer"] > 0


def test_aligned_data_and_an_unknown_fusion_are_one_line(home, cider, fails, tiny_recipe):
    arguments = ("train", tiny_recipe, "--set", WSAM, "--set", "data.alignment=aligned")
    assert "needs an unaligned store" in fails(cider(*arguments))
    message = fails(cider("train", tiny_recipe, "--set", "model.fusion=sum"))
    assert "model.fusion: Input should be 'composite' or 'vanilla'" in message
