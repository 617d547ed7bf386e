import dataclasses
import json

import numpy as np
import pytest
from evaluation_builders import PLAN, fold, random_sweep, scored_run

from cider.reports.compare import (
    comparison_table,
    mcnemar_table,
    p_text,
    write_comparison,
)
from cider.scoring.compare import compare_runs
from cider.scoring.conditions import SweepPlan


@pytest.fixture
def comparison(make_recipe):
    """``comparison("model.maci=none")``: two runs of the tiny recipe, and one of every other."""
    base = random_sweep(size=60).test

    def make(*others, plan=PLAN):
        test = base if plan is PLAN else random_sweep(plan, size=60).test
        runs = []
        for number, overrides in enumerate([("seed=1",), ("seed=2",), *((other,) for other in others)]):
            rng = np.random.default_rng(number)
            views = {
                view: 0.6 * table + 0.4 * rng.dirichlet(np.ones(3), size=table.shape[:2])
                for view, table in test.views.items()
            }
            own = random_sweep(plan, size=60, seed=number, checkpoint=f"sha256:{number}")
            own = dataclasses.replace(own, test=fold(test.labels, views))
            runs.append(scored_run(make_recipe(*overrides), own, f"runs/r{number}"))
        return compare_runs(runs, resamples=100)

    return make


def test_p_values_for_a_person():
    assert p_text(0.0004) == "< 0.001*"
    assert p_text(0.0312) == "0.031*"
    assert p_text(0.05) == "0.050"
    assert p_text(float("nan")) == "-"


def test_tables_show_the_comparison(comparison):
    result = comparison("model.maci=none")
    first, second = result.groups
    table = comparison_table(result, "acc2")
    assert table["Missing rate"].tolist() == ["0.0", "0.0", "0.5", "0.5", "AUILC", "AUILC"]
    assert table["Runs"].tolist() == ["2", "1"] * 3
    mean, deviation = first.area("acc2")
    low, high = first.intervals["videos"].areas["acc2"]
    assert (
        table.loc[4, "Acc2"]
        == f"{100 * mean:.1f} ± {100 * deviation:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    )
    assert table.loc[4, ["Difference", "p"]].tolist() == ["", ""]
    change = 100 * (second.area("acc2")[0] - mean)
    low, high = 100 * second.changes["videos"].areas["acc2"]
    expected = f"{round(change, 1) + 0.0:+.1f} [{round(low, 1) + 0.0:+.1f}, {round(high, 1) + 0.0:+.1f}]"
    assert table.loc[5, "Difference"] == expected
    assert table["p"].tolist() == [
        "",
        p_text(result.p_values["acc2"][0, second.label]),
        "",
        p_text(result.p_values["acc2"][1, second.label]),
        "",
        "-",
    ]
    assert comparison_table(result, "f1")["p"].tolist() == ["", "-"] * 3
    assert "Difference" not in comparison_table(comparison(), "f1")
    tests = mcnemar_table(result)
    assert len(tests) == len(result.tests) == 3 * 2
    assert tests.loc[0, "Only the first right"] == str(result.tests[0].result.only_first)


def test_the_page_is_whole(comparison, tmp_path):
    result = comparison("model.maci=none", "model.maci=label")
    paths = write_comparison(tmp_path / "page", result)
    names = ["comparison.json", "scores_by_rate.png", "scores_by_rate.pdf", "summary.md", "summary.html"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == sorted(names)
    content = json.loads((tmp_path / "page" / "comparison.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(result.to_json()))
    html = (tmp_path / "page" / "summary.html").read_text(encoding="utf-8")
    for told in (
        "Comparison of 3 recipes, rmfm",
        "4 runs on the same 60 test utterances of 15 videos, task binary",
        "difference to the first recipe",
        "tiny (model.maci=label)",
        "sha256:3",
        "Holm&#x27;s adjustment",
        "± is the sample standard deviation over training seeds",
        "data:image/png;base64,",
    ):
        assert told in html
    assert " nan" not in html


@pytest.mark.usefixtures("quick_figures")
def test_seeds_of_one_recipe_have_no_differences(comparison, tmp_path):
    result = comparison()
    write_comparison(tmp_path, result)
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# tiny: 2 runs, rmfm")
    assert "McNemar's tests" not in text
    assert "Difference |" not in text


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize(
    "plan", [SweepPlan.from_settings("smm", (), (0,)), SweepPlan.from_settings("rmfm", (0.5,), (0,))]
)
def test_sweeps_without_a_line_have_no_chart(comparison, tmp_path, plan):
    paths = write_comparison(tmp_path, comparison("model.maci=none", plan=plan))
    assert [path.name for path in paths] == ["comparison.json", "summary.md", "summary.html"]
