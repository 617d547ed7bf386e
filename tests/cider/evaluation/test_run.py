import json
import math

import pytest

from cider.evaluation.run import evaluate_run, parse_rates
from cider.evaluation.sweep import load_predictions, score_sweep
from cider.run_folder import RunFolder
from mer_data.errors import RecipeError, RunError, StatisticsError
from mer_data.files import sha256_file
from mer_data.tasks import TASKS
from mer_data.workspace import Workspace


def test_what_is_not_given_is_the_recipes(home, own_run):
    result = evaluate_run(own_run)
    assert result.run == own_run
    assert result.report == own_run / "reports" / "rmfm-mask0"
    assert result.scores.rates == (0.0, 0.5, 1.0)
    assert (own_run / "predictions" / "rmfm-mask0.parquet").is_file()


def test_another_pattern_or_mask_seed_has_its_own_files(home, own_run):
    kept = (own_run / "reports" / "rmfm-mask0" / "metrics.json").read_bytes()
    result = evaluate_run(own_run, pattern="rmm", rates=(0.0, 0.25), mask_seed=7)
    assert result.report == own_run / "reports" / "rmm-mask7"
    assert result.scores.rates == (0.0, 0.25)
    table = load_predictions(own_run / "predictions" / "rmm-mask7.parquet")
    assert set(table["mask_seed"]) == {7}
    assert (own_run / "reports" / "rmfm-mask0" / "metrics.json").read_bytes() == kept


def edit(run, old, new):
    """Another recipe, as if the run had been trained with it."""
    path, provenance = run / "recipe.yaml", run / "provenance.json"
    text, before = path.read_text(encoding="utf-8"), sha256_file(path)
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    recorded = provenance.read_text(encoding="utf-8")
    provenance.write_text(recorded.replace(before, sha256_file(path)), encoding="utf-8")


def test_a_mask_seed_of_0_is_not_the_recipes(home, own_run):
    edit(own_run, "mask_seed: 0", "mask_seed: 5")
    assert evaluate_run(own_run, rates=(0.0,)).report.name == "rmfm-mask5"
    assert evaluate_run(own_run, rates=(0.0,), mask_seed=0).report.name == "rmfm-mask0"


def test_the_report_can_be_made_again_from_the_predictions(own_run):
    table = load_predictions(RunFolder(own_run).predictions_path("rmfm", 0))
    saved = json.loads((own_run / "reports" / "rmfm-mask0" / "metrics.json").read_text(encoding="utf-8"))
    assert score_sweep(table, TASKS["binary"]).to_json() == saved


def test_evaluating_twice_gives_the_same_numbers(home, own_run):
    path = own_run / "reports" / "rmfm-mask0" / "metrics.json"
    first = path.read_bytes()
    evaluate_run(own_run)
    assert path.read_bytes() == first


def test_the_recipes_tau_metric_chooses(home, own_run):
    edit(own_run, "tau_metric: null", "tau_metric: acc3")
    assert evaluate_run(own_run, rates=(0.0,)).scores.tau_metric == "acc3"


def test_test_labels_do_not_choose_tau(home, own_run, monkeypatch):
    chosen = []
    monkeypatch.setattr(
        "cider.evaluation.sweep.choose_tau",
        lambda by_rate, labels, *_: chosen.append((by_rate, labels)) or 0.0,
    )
    evaluate_run(own_run)
    ((by_rate, labels),) = chosen
    assert len(labels) == 12  # the validation fold; test has 24
    assert {rate: factual.shape for rate, (factual, _) in by_rate.items()} == dict.fromkeys(
        (0.0, 0.5, 1.0), (12, 3)
    )


def test_a_missing_vocabulary_is_named(own_home, own_run):
    store, split = Workspace("sample").store_path("unaligned"), Workspace("sample").split_path("standard")
    Workspace("sample").vocabulary_path(store, split, "binary").with_suffix(".json").unlink()
    with pytest.raises(
        StatisticsError, match=r"no counterfactual vocabulary .*`mer-data counterfactual-vocab --dataset"
    ):
        evaluate_run(own_run)


def test_no_run_is_named(tmp_path):
    with pytest.raises(RunError, match=r"no training run in .*Make one with `cider train RECIPE`"):
        evaluate_run(tmp_path / "nothing")


def test_rates_are_parsed():
    assert parse_rates("0,0.5,1") == (0.0, 0.5, 1.0)
    assert parse_rates(" 0.25 ") == (0.25,)


@pytest.mark.parametrize(
    "text", ["", "a", "0,,1", "0;1", "1,0", "0,0", "-0.1,0", "0,1.1", "nan", "0,nan,1", "inf"]
)
def test_other_rates_are_refused(text):
    with pytest.raises(RecipeError, match=r"not a list of missing rates: found .*rising numbers in \[0, 1\]"):
        assert not math.isnan(sum(parse_rates(text)))
