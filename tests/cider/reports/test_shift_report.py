import json

import numpy as np
import pytest
from evaluation_builders import PLAN, random_sweep, scored_run, series_split

from cider.reports.shift import write_shift_report
from cider.reports.shift_tables import curve_table, grid_table, protocol_table, splits_table
from cider.scoring.conditions import SweepPlan
from cider.scoring.shift_curve import ShiftedRun, shift_curves

FIGURES = [
    f"{name}.{kind}"
    for name in ("area_by_severity", "by_severity", "severity_by_rate")
    for kind in ("pdf", "png")
]


@pytest.fixture
def curves(make_recipe):
    """``curves(("seed=1",), ("seed=2",))``: a recipe for each, at severities 0 and 0.5."""

    def make(*recipes, plan=PLAN, levels=(0.0, 0.5)):
        runs = []
        for level in levels:
            base = random_sweep(plan, size=40, seed=round(100 * level))
            for number, overrides in enumerate(recipes):
                own = random_sweep(plan, size=40, seed=round(100 * level))
                noise = np.random.default_rng([number, round(100 * level)])
                for view, table in own.test.views.items():
                    own.test.views[view] = 0.6 * table + 0.4 * noise.dirichlet(np.ones(3), table.shape[:2])
                split = series_split(level, base.test.ids)
                own.identity.update(checkpoint=f"sha256:{level}{number}", split=split.manifest.digest)
                recipe = make_recipe(*overrides, f"data.split=severity{level}")
                runs.append(ShiftedRun(scored_run(recipe, own, f"runs/{level}/r{number}"), split))
        return shift_curves(runs, resamples=100)

    return make


def test_tables_show_the_curves(curves):
    result = curves(("seed=1",), ("seed=2",), ("model.maci=none", "seed=1"), ("model.maci=none", "seed=2"))
    first, second = result.groups
    table = curve_table(result, "acc2")
    mean = "Mean over severity 0 to 0.5"
    assert table["Severity"].tolist() == ["0", "0", "0.5", "0.5", mean, mean, *["Change from 0 to 0.5"] * 2]
    assert table["Divergence, bits"].tolist() == ["0.000", "0.000", "0.062", "0.062", *[""] * 4]
    value, deviation = first.mean("acc2")[2, 3], first.deviation("acc2")[2, 3]
    low, high = first.intervals["videos"]["acc2"][2, 3]
    expected = f"{100 * value:.1f} ± {100 * deviation:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    assert table.loc[4, "AUILC"] == expected
    assert table.loc[6, "Missing rate 0.0"].startswith(f"{100 * first.mean('acc2')[3, 0]:+.1f} ± ")
    assert table.loc[4, "difference (AUILC)"] == ""
    change = 100 * (second.mean("acc2")[2, 3] - value)
    assert table.loc[5, "difference (AUILC)"].startswith(f"{round(change, 1) + 0.0:+.1f} [")
    grid = grid_table(result, "f1")
    assert grid.columns.tolist() == ["Severity", "Divergence, bits", "Recipe", "0.0", "0.5", "1.0", "AUILC"]
    strict, paper = 100 * first.mean("acc3")[0, 3], 100 * first.paper_mean("acc3")[0, 3]
    assert protocol_table(result, 3).loc[0, "Acc3"].startswith(f"{strict:.1f} / {paper:.1f} (")
    splits = splits_table(result)
    assert splits["Bag of words, Acc2"].tolist() == ["90.0", "65.0"]
    assert splits["Train / valid / test"].tolist() == ["1 / 1 / 40"] * 2


@pytest.mark.usefixtures("quick_figures")
def test_everything_is_on_one_page(curves, tmp_path):
    result = curves(("seed=1",), ("model.maci=none", "seed=1"), levels=(0.0, 1.0))
    paths = write_shift_report(tmp_path / "page", result)
    names = [*FIGURES, "shift.json", "summary.html", "summary.md"]
    assert sorted(path.name for path in paths) == names
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == names
    content = json.loads((tmp_path / "page" / "shift.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(result.to_json()))
    html = (tmp_path / "page" / "summary.html").read_text(encoding="utf-8")
    for told in (
        "2 recipes against distribution shift, rmfm",
        "Acc2, area over severity: tiny (model.maci=both):",
        "4 runs on 2 splits of sample",
        "strict / paper (paper - strict)",
        "Every severity has a training fold of its own",
        "chosen on data that is not shifted",
        "Differences are to tiny (model.maci=both)",
        "sha256:1.01",
        "data:image/png;base64,",
    ):
        assert told in html
    assert " nan" not in html


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (SweepPlan.from_settings("smm", (), (0,)), "Mean of the cases"),
        (SweepPlan.from_settings("rmfm", (0.5,), (0,)), "Missing rate 0.5"),
    ],
)
def test_other_sweeps_have_a_page_too(curves, tmp_path, plan, told):
    write_shift_report(tmp_path, curves(("seed=1",), plan=plan))
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("# tiny against distribution shift")
    assert told in text
    assert "not to be compared with the area over severity" in text
    assert (tmp_path / "area_by_severity.png").exists() == (plan.area_name is not None)
