import json

import pytest

from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def other_run(hardly_trained):
    """A run without causal inference, evaluated."""
    path = hardly_trained("plain", "model.maci=none", "name=plain")
    evaluate_run(path)
    return path


def test_two_recipes_are_compared_without_data(cider, own_run, other_run, monkeypatch, tmp_path):
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "nowhere"))
    result = cider("compare", own_run, other_run)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Strict test scores in percent: mean ± standard deviation over runs")
    for number, metric in enumerate(("Acc2", "F1", "Acc3")):
        header, *rows = lines[2 + 8 * number : 9 + 8 * number]
        assert header.split() == ["Missing", "rate", "Recipe", "Runs", metric, "Difference", "p"]
        assert [row.split()[:3] for row in rows] == [
            [place, name, "1"] for place in ("0.0", "0.5", "AUILC") for name in ("tiny", "plain")
        ]
    assert not (own_run / "comparison.json").exists()


def test_a_page_is_written_on_request(cider, fails, own_run, other_run, tmp_path):
    out = tmp_path / "page"
    result = cider("compare", own_run, other_run, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"Report: {out / 'summary.html'}"
    assert (out / "summary.md").is_file()
    assert "exists already" in fails(cider("compare", own_run, other_run, "--out", out))
    assert cider("compare", own_run, other_run, "--out", out, "--force", "--rates", "0.5").exit_code == 0
    assert json.loads((out / "comparison.json").read_text(encoding="utf-8"))["points"] == ["0.5"]


def test_json_is_told(cider, own_run, other_run):
    result = cider("compare", own_run, other_run, "--json", "--resamples", "200")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [group["label"] for group in content["groups"]] == ["tiny", "plain"]
    assert content["bootstrap"]["resamples"] == 200
    assert {test["metric"] for test in content["tests"]} == {"acc2", "acc2_has0", "acc3"}


def test_what_cannot_be_compared_is_one_line(cider, fails, home, own_run, other_run, tmp_path):
    assert "nothing to compare: found 1 run" in fails(cider("compare", own_run))
    assert "are one run: their checkpoints are equal" in fails(cider("compare", own_run, own_run))
    assert "no training run" in fails(cider("compare", own_run, tmp_path / "nothing"))
    line = fails(cider("compare", own_run, other_run, "--mask-seeds", "4"))
    assert "no predictions of valid for rmfm at missing rate 0.5, mask seed 4" in line
    evaluate_run(own_run, EvaluationOverrides(mask_seeds=(4,)))
    assert "plain" in fails(cider("compare", own_run, other_run, "--mask-seeds", "4"))
    assert cider("compare").exit_code == 2
