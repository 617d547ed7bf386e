import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.usefixtures("quick_figures")

METRICS = ["acc2", "f1", "acc2_has0", "f1_has0", "acc3", "f1_3"]


@pytest.fixture
def second_run(hardly_trained):
    """A run of another seed."""
    return hardly_trained("second", "seed=1112", "training.max_epochs=4")


def loads(text):
    """As strict as JSON is: no NaN."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_one_run_is_measured_and_reported(home, cider, own_run):
    shutil.rmtree(own_run / "reports")
    result = cider("evaluate", own_run)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    folder = own_run / "reports" / "rmfm-mask0"
    metrics = loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert lines[0] == f"{own_run}: tau {metrics['tau']}"
    assert [line.split()[0] for line in lines[2:6]] == ["0.0", "0.5", "1.0", "AUILC"]
    for index in range(3):
        assert lines[2 + index].split()[1:] == [
            f"{100 * metrics['debiased'][name][index]:.1f}" for name in METRICS
        ]
    assert lines[6].startswith("Acc2 by both protocols")
    assert lines[7].split() == ["Missing", "rate", "strict", "paper", "difference"]
    both = metrics["protocols"]["acc2"]
    assert lines[9].split()[:3] == ["0.5", f"{100 * both['strict'][1]:.1f}", f"{100 * both['paper'][1]:.1f}"]
    assert lines[12] == f"Report: {folder / 'summary.html'}"
    assert (folder / "summary.html").is_file()
    assert "Mean" not in result.stdout


def test_two_runs_give_mean_and_spread(home, cider, own_run, second_run):
    result = cider("evaluate", own_run, second_run, "--rates", "0,0.5")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    start = lines.index("Mean and standard deviation over 2 runs:")
    assert lines[start + 1].endswith("Mean over 0 to 0.5")  # no AUILC: the rates do not span 0 to 1
    values = [
        100 * loads((run / "reports" / "rmfm-mask0" / "metrics.json").read_text())["debiased"]["acc2"][0]
        for run in (own_run, second_run)
    ]
    expected = f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert lines[start + 2].split(None, 1)[1].startswith(expected)
    assert values[0] != values[1]
    assert lines[-1] == f"Next: cider compare {own_run} {second_run}"


def test_json_is_what_the_reports_hold(home, cider, own_run, second_run):
    result = cider(
        "evaluate", own_run, second_run, "--json", "--rates", "0.5", "--pattern", "rmm", "--mask-seeds", "2,3"
    )
    assert result.exit_code == 0, result.output
    told = loads(result.stdout)["runs"]
    assert [entry["run"] for entry in told] == [str(own_run), str(second_run)]
    for entry, run in zip(told, (own_run, second_run), strict=True):
        folder = run / "reports" / "rmm-mask2-3"
        assert entry.pop("run") == str(run)
        assert entry.pop("report") == str(folder)
        assert entry == loads((folder / "metrics.json").read_text(encoding="utf-8"))
        assert (entry["rates"], entry["mask_seeds"]) == ([0.5], [2, 3])
        assert entry["auilc"] is None


def test_a_report_is_made_of_saved_predictions(cider, fails, own_run, monkeypatch, tmp_path):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    result = cider("evaluate", own_run, "--report-only", "--debiasing", "log", "--resamples", "100", "--json")
    assert result.exit_code == 0, result.output
    (entry,) = loads(result.stdout)["runs"]
    assert (entry["debiasing"], entry["intervals"]["resamples"]) == ("log", 100)
    shutil.rmtree(own_run / "predictions")
    line = fails(cider("evaluate", own_run, "--report-only"))
    assert "no predictions of valid for complete data" in line
    assert line.endswith("Make them with `cider evaluate RUN`, without --report-only.")


def test_smm_has_its_seven_cases(home, cider, fails, own_run):
    result = cider("evaluate", own_run, "--pattern", "smm")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    cases = [line.split()[0] for line in lines[2:9]]
    assert cases == ["LAV", "LA", "LV", "L", "AV", "A", "V"]
    assert "Mean of the cases" in lines[9]
    assert f"Report: {own_run / 'reports' / 'smm' / 'summary.html'}" in lines
    line = fails(cider("evaluate", own_run, "--pattern", "smm", "--rates", "0,1"))
    assert "pattern smm has its seven cases in place of missing rates" in line


def test_runs_of_different_recipes_are_not_averaged(home, cider, make_recipe, own_run, tmp_path):
    from cider.runs.experiment import Experiment
    from cider.runs.folder import RunFolder
    from cider.training.trainer import Trainer

    experiment = Experiment.open(make_recipe("task=seven", "model.maci=none"))
    run = RunFolder(tmp_path / "seven")
    run.start(experiment)
    run.save_weights(Trainer(experiment, run).model)
    result = cider("evaluate", own_run, run.path, "--rates", "0")
    assert result.exit_code == 0, result.output
    assert "Mean and standard deviation" not in result.stdout
    assert str(run.path / "reports") in result.stdout


@pytest.mark.parametrize("rates", ["1,0", "a", "0,2", ""])
def test_bad_rates_are_one_line(home, cider, fails, own_run, rates):
    assert "not a list of missing rates" in fails(cider("evaluate", own_run, "--rates", rates))


@pytest.mark.parametrize("seeds", ["a", "0,0", "-1", ""])
def test_bad_mask_seeds_are_one_line(home, cider, fails, own_run, seeds):
    assert "not a list of seeds" in fails(cider("evaluate", own_run, "--mask-seeds", seeds))


def test_a_folder_that_is_no_run_is_one_line(home, cider, fails, tmp_path):
    assert "no training run" in fails(cider("evaluate", tmp_path / "nothing"))
    assert "no training run" in fails(cider("evaluate", tmp_path, "--report-only"))


def test_a_damaged_run_is_one_line(home, cider, fails, own_run):
    (own_run / "checkpoints" / "best.safetensors").write_bytes(b"gone")
    for more in ((), ("--report-only",)):
        line = fails(cider("evaluate", own_run, *more))
        assert (
            f"the file is not as training left it in {own_run / 'checkpoints' / 'best.safetensors'}" in line
        )
    shutil.rmtree(own_run / "checkpoints")
    assert "the run has no checkpoint" in fails(cider("evaluate", own_run))
    (own_run / "provenance.json").write_text("{", encoding="utf-8")
    (own_run / "digests.json").unlink()
    assert "damaged provenance" in fails(cider("evaluate", own_run))


@pytest.mark.parametrize("pattern", ["tmfm", "stmfm"])
def test_a_pattern_that_needs_aligned_data_is_one_line(home, cider, fails, own_run, pattern):
    line = fails(cider("evaluate", own_run, "--pattern", pattern))
    assert f"the missing pattern {pattern} needs aligned data" in line


def test_an_empty_class_in_test_is_null_with_a_note(home, cider, own_run):
    for path in (own_run / "predictions").glob("*.test.parquet"):
        table = pq.read_table(path)
        labels = table["label"].to_pandas() * 0
        index = table.schema.get_field_index("label")
        belongs = json.loads(table.schema.metadata[b"cider"])
        del belongs["digest"]  # as in runs from before there were digests
        table = table.replace_schema_metadata({b"cider": json.dumps(belongs)})
        pq.write_table(table.set_column(index, "label", pa.array(labels)), path)
    (own_run / "digests.json").unlink()
    result = cider("evaluate", own_run, "--report-only", "--json")
    assert result.exit_code == 0, result.output
    (entry,) = loads(result.stdout)["runs"]
    assert entry["debiased"]["acc2"] == entry["protocols"]["acc2"]["paper"] == [None] * 3
    assert entry["debiased"]["acc3"] != [None] * 3
    assert any(
        "The test fold has no utterance of class negative, positive" in note for note in entry["notes"]
    )
    assert " - " in cider("evaluate", own_run, "--report-only").stdout


def test_another_workspace_is_one_line(cider, fails, own_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "empty"))
    assert "the store that the run was trained on is gone" in fails(cider("evaluate", own_run))


def test_runs_and_known_patterns_are_required(cider, own_run):
    assert cider("evaluate").exit_code == 2
    assert cider("evaluate", own_run, "--pattern", "other").exit_code == 2
    assert cider("evaluate", own_run, "--resamples", "10").exit_code == 2


# --- on another corpus ---


def test_another_corpus_is_tested_on(two_corpora, cider, own_run):
    result = cider("evaluate", own_run, "--on", "second", "--rates", "0,0.5", "--resamples", "100")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{own_run}, on second, store unaligned, split standard: tau ")
    folder = own_run / "reports" / "on-second.unaligned.standard" / "rmfm-mask0"
    assert f"Report: {folder / 'summary.html'}" in lines
    page = (folder / "summary.md").read_text(encoding="utf-8")
    belongs_to = loads((folder / "metrics.json").read_text(encoding="utf-8"))["belongs_to"]
    for name in ("store", "split", "target_store", "target_split"):
        assert belongs_to[name] in page
    assert "(on second, store unaligned, split standard; trained on sample)" in page
    assert "Store of training" in page
    assert "Tested elsewhere than on the run's own test fold." in page


def test_a_target_that_does_not_fit_is_one_line(two_corpora, cider, fails, own_run):
    line = fails(cider("evaluate", own_run, "--on", "second", "--on-alignment", "aligned"))
    assert "the store has another alignment than the run was trained with" in line
    assert "no split 'none'" in fails(cider("evaluate", own_run, "--on", "second", "--on-split", "none"))
    assert "no predictions on second" in fails(cider("evaluate", own_run, "--on", "second", "--report-only"))


@pytest.mark.parametrize("option", ["--on-alignment", "--on-split"])
def test_the_parts_of_a_target_go_with_it(cider, own_run, option):
    result = cider("evaluate", own_run, option, "standard")
    assert result.exit_code == 2
    assert "--on-alignment and --on-split go with --on." in result.stderr


def test_an_unfinished_run_is_told(home, cider, hardly_trained, own_run):
    run = hardly_trained("begun")
    result = cider("evaluate", run, "--rates", "0,1", "--resamples", "100")
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Warning: {run} holds a training that was stopped before its first epoch")
    assert f"continue it with `cider train --resume {run}`" in line
    assert cider("evaluate", own_run).stderr == ""
