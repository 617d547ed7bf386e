import json
import shutil

import pytest

from cider.evaluation.evaluate import EvaluationOverrides, compare_evaluated, evaluate_run
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.scoring import protocols
from cider.training.trainer import Trainer
from mer_data.errors import DamagedRunError, RecipeError, RunError
from mer_data.files.writing import sha256_file

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def untrained(home, make_recipe, tmp_path):
    """``untrained("name", "seed=2")``: a run with fresh weights."""

    def make(name, *overrides):
        experiment, run = Experiment.open(make_recipe(*overrides)), RunFolder(tmp_path / name)
        run.start(experiment)
        run.save_weights(Trainer(experiment, run).model)
        return run.path

    return make


def metrics_of(run, name="rmfm-mask0"):
    return json.loads((run / "reports" / name / "metrics.json").read_text(encoding="utf-8"))


def edit(run, old, new):
    """Another recipe, as if the run had been trained with it."""
    path, provenance = run / "recipe.yaml", run / "provenance.json"
    text, before = path.read_text(encoding="utf-8"), sha256_file(path)
    assert text.count(old) == 1
    (run / "digests.json").unlink(missing_ok=True)
    path.write_text(text.replace(old, new), encoding="utf-8")
    recorded = provenance.read_text(encoding="utf-8")
    provenance.write_text(recorded.replace(before, sha256_file(path)), encoding="utf-8")


def test_what_is_not_given_is_the_recipes(home, own_run):
    result = evaluate_run(own_run)
    assert result.run == own_run
    assert result.report == own_run / "reports" / "rmfm-mask0"
    assert result.scores.rates == (0.0, 0.5, 1.0)
    assert result.measured.intervals.resamples == 1000
    assert (result.scores.debiasing, result.measured.predictions.identity["precision"]) == (
        "probability",
        "float32",
    )


def test_choices_have_their_own_files(home, own_run):
    kept = metrics_of(own_run)
    choices = EvaluationOverrides(
        pattern="rmm", rates=(0.0, 0.25), mask_seeds=(7, 8), debiasing="log", resamples=100
    )
    result = evaluate_run(own_run, choices)
    assert result.report == own_run / "reports" / "rmm-mask7-8"
    assert result.scores.rates == (0.0, 0.25)
    content = metrics_of(own_run, "rmm-mask7-8")
    assert (content["debiasing"], content["intervals"]["resamples"]) == ("log", 100)
    assert (own_run / "predictions" / "rmm-rate0.25-mask8.test.parquet").is_file()
    assert metrics_of(own_run) == kept


def test_smm_has_a_report_and_takes_no_rates(home, own_run):
    result = evaluate_run(own_run, EvaluationOverrides(pattern="smm"))
    assert result.report == own_run / "reports" / "smm"
    assert len(result.scores.final["acc2"]) == 7
    for choices in (
        EvaluationOverrides(pattern="smm", rates=(0.5,)),
        EvaluationOverrides(pattern="smm", mask_seeds=(1,)),
    ):
        with pytest.raises(RecipeError, match="pattern smm has its seven cases in place of missing rates"):
            evaluate_run(own_run, choices)


def test_the_recipes_settings_are_taken(home, own_run):
    edit(own_run, "mask_seeds:\n  - 0", "mask_seeds:\n  - 5\n  - 0")
    edit(own_run, "tau_metric: null", "tau_metric: acc3")
    edit(own_run, "debiasing: probability", "debiasing: log")
    result = evaluate_run(own_run, EvaluationOverrides(rates=(0.0,)))
    assert result.report.name == "rmfm-mask5-0"
    assert (result.scores.tau_metric, result.scores.debiasing) == ("acc3", "log")
    assert (
        evaluate_run(own_run, EvaluationOverrides(rates=(0.0,), mask_seeds=(0,))).report.name == "rmfm-mask0"
    )


def test_a_report_needs_neither_model_nor_data(home, own_run, monkeypatch, tmp_path):
    expected = metrics_of(own_run)
    shutil.rmtree(own_run / "reports")
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr(Experiment, "build_model", lambda self: pytest.fail("built"))
    evaluate_run(own_run, report_only=True)
    assert metrics_of(own_run) == expected
    shutil.rmtree(own_run / "checkpoints")
    evaluate_run(own_run, report_only=True)
    assert metrics_of(own_run) == expected


def test_a_report_of_a_run_without_predictions_is_refused(home, own_run):
    with pytest.raises(RunError, match=r"no predictions of valid for rmfm at missing rate 0\.5, mask seed 3"):
        evaluate_run(own_run, EvaluationOverrides(mask_seeds=(3,)), report_only=True)
    shutil.rmtree(own_run / "predictions")
    with pytest.raises(RunError, match=r"no predictions of valid for complete data .* without --report-only"):
        evaluate_run(own_run, report_only=True)


def test_evaluating_twice_gives_the_same_files(home, own_run):
    def files():
        return {path.name: path.read_bytes() for path in (own_run / "reports" / "rmfm-mask0").iterdir()}

    evaluate_run(own_run)
    first = files()
    evaluate_run(own_run, force=True)
    assert files() == first


def test_the_result_of_training_is_in_the_report(home, own_run, untrained):
    page = (own_run / "reports" / "rmfm-mask0" / "summary.md").read_text(encoding="utf-8")
    result = json.loads((own_run / "result.json").read_text(encoding="utf-8"))
    assert f"epoch {result['best_epoch']} of {result['epochs']}" in page
    report = evaluate_run(untrained("fresh"), EvaluationOverrides(rates=(0.0,))).report
    assert "Training has not ended" in (report / "summary.md").read_text(encoding="utf-8")
    (own_run / "result.json").write_text("{", encoding="utf-8")
    with pytest.raises(DamagedRunError, match=r"the file is not as training left it in .*result\.json"):
        evaluate_run(own_run)
    (own_run / "digests.json").unlink()
    with pytest.raises(DamagedRunError, match=r"damaged result in .*result\.json"):
        evaluate_run(own_run)


def test_test_labels_do_not_choose_tau(home, own_run, monkeypatch):
    looked_at = []
    whole = protocols.tau_curves

    def spy(factual, counterfactual, labels, *rest, **options):
        looked_at.append(len(labels))
        return whole(factual, counterfactual, labels, *rest, **options)

    monkeypatch.setattr(protocols, "tau_curves", spy)
    monkeypatch.setattr(protocols, "_paper", lambda plan, test, task, _: protocols.PaperScores(
        protocols._table(plan, test.scores("training")[0], test, task), None, "training"))  # fmt: skip
    evaluate_run(own_run)
    assert looked_at == [12]  # the validation fold; test has 24


def test_a_missing_vocabulary_is_named(own_home, own_run):
    for path in (own_home / "sample" / "statistics").glob("*.standard.*.vocabulary.json"):
        path.unlink()  # that of the aligned store has the same content
    with pytest.raises(
        RunError,
        match=r"the counterfactual vocabulary that .* is gone .*`mer-data counterfactual-vocab --dataset",
    ):
        evaluate_run(own_run)


def test_no_run_is_named(tmp_path):
    for report_only in (False, True):
        with pytest.raises(RunError, match=r"no training run in .*Make one with `cider train RECIPE`"):
            evaluate_run(tmp_path / "nothing", report_only=report_only)


# --- comparisons ---


def test_runs_are_compared_by_saved_predictions(home, own_run, untrained, monkeypatch, tmp_path):
    others = [untrained("plain", "model.maci=none"), untrained("second", "seed=1112")]
    for path in others:
        evaluate_run(path)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    comparison = compare_evaluated([own_run, *others])
    assert [group.label for group in comparison.groups] == [
        "tiny (model.maci=both, training.max_epochs=4)",
        "tiny (model.maci=none, training.max_epochs=1)",
        "tiny (model.maci=both, training.max_epochs=1)",
    ]
    assert comparison.groups[0].point("acc2", 0)[0] == metrics_of(own_run)["debiased"]["acc2"][0]
    assert comparison.groups[1].area("f1")[0] == pytest.approx(metrics_of(others[0])["auilc"]["f1"])
    assert comparison.resamples == 1000


def test_all_runs_are_compared_in_the_sweep_of_the_first(home, own_run, untrained):
    other = untrained("second", "seed=1112", "evaluation.rates=[0.25]")
    evaluate_run(other)
    with pytest.raises(RunError, match=r"no predictions of valid for complete data in .*second"):
        compare_evaluated([own_run, other])
    evaluate_run(other, EvaluationOverrides(rates=(0.0, 0.5, 1.0)))
    assert compare_evaluated([own_run, other]).plan.rates == (0.0, 0.5, 1.0)
    assert (
        compare_evaluated([own_run, other], EvaluationOverrides(rates=(0.5,), resamples=100)).resamples == 100
    )


def test_runs_of_other_splits_are_refused(home, own_run, untrained):
    other = untrained("ood", "data.split=ood_binary_seed0")
    evaluate_run(other)
    with pytest.raises(RunError, match=r"tested on different utterances: found 24, \d+ of them alone"):
        compare_evaluated([own_run, other])
