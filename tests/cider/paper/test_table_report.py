import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from reproduction_tables import write_tables

from cider.commands import main
from cider.evaluation.evaluate import EvaluationOverrides, evaluate_run, score_run
from cider.paper.costs import Cost
from cider.paper.curves import draw_curves
from cider.paper.plan import make_plan
from cider.paper.report import ReproducedTable, report_folder
from cider.paper.run import Measurements, Watch, reproduce
from cider.paper.shown import in_unit
from cider.paper.tables import SWEEP, load_table
from cider.prediction.target import Target
from mer_data.errors import RunError
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace

pytestmark = pytest.mark.usefixtures("quick_figures")
NO_JSON = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON")}


@pytest.fixture
def result(plan, reproduced):
    parent, found, _ = reproduced
    return ReproducedTable(plan, found, parent)


def lines_of(shown, row):
    frame = shown.frame[shown.frame["Row"] == row]
    return {line["Numbers"]: [*line.iloc[2:]] for _, line in frame.iterrows()}


def test_numbers_are_those_of_the_runs_own_reports(result, reproduced):
    parent, _, _ = reproduced
    cell = result.cells["CIDer"]["area_acc2"]
    for protocol, ours in (("strict", cell.strict), ("paper", cell.paper)):
        areas = []
        for seed in (1, 2):
            metrics = evaluate_run(
                parent / f"tiny_binary-seed{seed}",
                EvaluationOverrides(pattern="rmfm", rates=SWEEP),
                report_only=True,
            ).measured.to_json()
            areas.append(100 * np.trapezoid(metrics["protocols"]["acc2"][protocol], SWEEP))
        assert ours.values == pytest.approx(areas)
        assert ours.mean == pytest.approx(sum(areas) / 2)
        assert ours.deviation == pytest.approx(abs(areas[0] - areas[1]) / 2**0.5)
        assert cell.difference(ours) == pytest.approx(sum(areas) / 2 - 52.5)


def test_a_row_has_the_published_line_ours_and_the_differences(result):
    area, whole = result.tables
    assert area.caption == (
        "sample, unaligned, standard folds: AUILC over missing rates 0.0 to 1.0, pattern rmfm. Percent."
    )
    assert whole.caption == "sample, unaligned, standard folds: complete data. Percent."
    assert list(area.frame.columns) == ["Row", "Numbers", "Acc2", "Acc7"]
    assert lines_of(area, "LNLN") == {"published only": ["50.0", "20.0"]}
    assert lines_of(area, "without WSAM") == {"published only": ["49.0", "19.0"]}
    cells, lines = result.cells["CIDer"], lines_of(area, "CIDer")
    assert list(lines) == [
        "published", "ours, strict", "strict - published", "ours, paper", "paper - published",
    ]  # fmt: skip
    assert lines["published"] == ["52.5", "-"]
    strict, difference = cells["area_acc2"].strict, cells["area_acc2"].difference(cells["area_acc2"].strict)
    assert lines["ours, strict"][0] == f"{strict.mean:.1f} ± {strict.deviation:.1f}"
    assert lines["strict - published"] == [f"{difference:+.1f}", "-"]


def test_the_page_tells_protocols_runs_and_how_to_make_it_again(result, tables, reproduced, tmp_path):
    parent, _, _ = reproduced
    paths = result.write(tmp_path / "page")
    assert [path.name for path in paths] == ["table.json", "summary.md", "summary.html"]
    text = paths[1].read_text(encoding="utf-8")
    assert text.startswith("# Table 1: A comparison")
    for part in (
        "by the protocol of its authors",
        "Note of table1.",
        "Shared by all.",
        f"cider reproduce {tables / 'table1.yaml'} --seeds 1,2 --out {parent}",
        "tiny_binary-without_mcm-seed2",
    ):
        assert part in text
    content = json.loads(paths[0].read_text(encoding="utf-8"), **NO_JSON)
    first = content["rows"][1]["cells"]["area_acc2"]
    assert first["strict"]["values"] == pytest.approx(result.cells["CIDer"]["area_acc2"].strict.values)
    assert [row["published_only"] for row in content["rows"]] == [True, False, False, True]
    assert len(content["runs"]) == 8
    assert content["runs"][0]["epoch_kept"] == "1 of 1"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"task": "binary"},
        {"floors": True},
        {"rows": ["CIDer"], "floors": True, "task": "seven", "overrides": ["model.layers=2"]},
    ],
)
def test_the_recorded_command_makes_the_same_plan(tables, tmp_path, monkeypatch, options):
    plan = make_plan(load_table("table1", tables), seeds=[1, 2], **options)
    asked = []
    monkeypatch.setattr(
        "cider.paper.plan.make_plan",
        lambda *args, **given: asked.append(make_plan(*args, **given)) or asked[0],
    )
    words = shlex.split(ReproducedTable(plan, Measurements(), tmp_path).command)
    result = CliRunner().invoke(main, [*words[1:], "--dry-run"])
    assert result.exit_code == 0, result.output
    assert asked == [plan]


def test_a_floor_row_has_no_published_line(reproduced, tables, tiny_home, tmp_path, monkeypatch):
    monkeypatch.setenv("MER_DATA_HOME", str(tiny_home))
    parent = Path(shutil.copytree(reproduced[0], tmp_path / "runs"))
    plan = make_plan(load_table("table2", tables), rows=["CIDer"], floors=True, seeds=(1,))
    result = ReproducedTable(plan, Measurements(), parent)
    assert lines_of(result.tables[0], "plain") == {"ours": ["not run", "not run"]}
    result = ReproducedTable(plan, reproduce(plan, parent, Watch(lambda line: None)), parent)
    cells = [result.cells["plain"][key].strict for key in ("rates_0.5_acc2", "rates_1.0_acc2")]
    lines = lines_of(result.tables[0], "plain")
    assert list(lines) == ["ours, strict", "ours, paper"]
    assert lines["ours, strict"] == [f"{cell.mean:.1f}" for cell in cells]
    assert "published" in lines_of(result.tables[0], "CIDer")
    drawn = {}
    monkeypatch.setattr(
        "cider.paper.curves.line_chart",
        lambda series, **options: drawn.update(series=series, **options) or [tmp_path / "a", tmp_path / "b"],
    )
    draw_curves(plan, result.found, tmp_path)
    ours = [f"{row}, ours, {protocol}" for row in ("CIDer", "plain") for protocol in ("strict", "paper")]
    assert list(drawn["series"]) == ["LNLN", "CIDer, published", *ours]
    assert drawn["emphasis"] == ["CIDer, published", *ours]


def test_what_was_not_run_is_said(plan, tmp_path):
    result = ReproducedTable(plan, Measurements(absent=["runs/x: not trained"]), tmp_path)
    assert lines_of(result.tables[0], "CIDer") == {
        "published": ["52.5", "-"], "ours": ["not run", "not run"],
    }  # fmt: skip
    assert "Not in our numbers: runs/x: not trained" in result.notes()
    assert result.to_json()["rows"][1]["cells"]["area_acc2"]["strict"] is None
    result.write(tmp_path / "page")


def test_a_per_rate_table_is_drawn_with_every_published_row(home, tables, reproduced, tmp_path, monkeypatch):
    drawn = {}

    def record(series, **options):
        drawn.update(series=series, **options)
        stem = options["path_stem"]
        png, pdf = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf"))
        png.write_bytes(b"1")
        return [png, pdf]

    monkeypatch.setattr("cider.paper.curves.line_chart", record)
    plan = make_plan(load_table("table2", tables), seeds=(1, 2))
    found = reproduce(plan, reproduced[0], Watch(lambda line: None), report_only=True)
    result = ReproducedTable(plan, found, reproduced[0])
    result.write(tmp_path / "page")
    assert list(drawn["series"]) == ["LNLN", "CIDer, published", "CIDer, ours, strict", "CIDer, ours, paper"]
    assert drawn["emphasis"] == list(drawn["series"])[1:]
    # Rate 0.0 is of the table of complete data.
    assert drawn["series"]["LNLN"] == [(0.0, 0.6, None), (0.5, 0.48, None), (1.0, 0.4, None)]
    ours = drawn["series"]["CIDer, ours, strict"]
    assert [point[0] for point in ours] == list(SWEEP)
    cell = result.cells["CIDer"]["rates_0.5_acc2"].strict
    assert (100 * ours[5][1], 100 * ours[5][2]) == pytest.approx((cell.mean, cell.deviation))
    area = np.trapezoid([point[1] for point in ours], SWEEP)
    whole = ReproducedTable(make_plan(load_table("table1", tables), seeds=(1, 2)), *reproduced[1::-1])
    assert 100 * area == pytest.approx(whole.cells["CIDer"]["area_acc2"].strict.mean)
    assert list(result.tables[0].frame.columns) == ["Row", "Numbers", "0.5", "1.0"]


def test_kept_modalities_are_read_by_their_names(home, tables, reproduced):
    plan = make_plan(load_table("table5", tables), seeds=(1,))
    found = reproduce(plan, reproduced[0], Watch(lambda line: None))
    result = ReproducedTable(plan, found, reproduced[0])
    metrics = evaluate_run(
        reproduced[0] / "tiny_binary-seed1", EvaluationOverrides(pattern="smm"), report_only=True
    )
    scores = metrics.scores.strict.means["acc2"]
    cases = [point.label for point in metrics.scores.plan.points]
    for kept in ("L", "AV"):
        ours = result.cells["CIDer"][f"kept_{kept}_acc2"].strict
        assert ours.values == (100 * scores[cases.index(kept)],)
        assert ours.deviation != ours.deviation
    assert "by the modalities kept" in result.tables[0].caption


def test_cost_is_the_mean_over_the_tasks_and_a_machine_without_gpu_has_no_gpu_memory(tables, tmp_path):
    plan = make_plan(load_table("table3", tables), seeds=(1, 2))
    one = Cost(1000, 100, None, 4.0, 32, "a processor", 2, 1.52)
    found = Measurements(costs={"tiny_binary": one, "tiny_seven": replace(one, parameters=3000, maci=0)})
    result = ReproducedTable(plan, found, tmp_path)
    assert lines_of(result.tables[0], "CIDer") == {
        "published": ["247,946", "6.8", "10.4"],
        "measured here": ["2,000", "-", "4.0"],
        "measured - published": ["-245,946", "-", "-6.4"],
    }
    for part in ("a processor with 2 torch threads", "100 of them MACI", "1.5 GiB of main memory at most"):
        assert any(part in note for note in result.notes())
    half = ReproducedTable(plan, Measurements(costs={"tiny_binary": one}), tmp_path)
    assert lines_of(half.tables[0], "CIDer")["ours"] == ["not run", "not run", "not run"]


def test_an_empty_class_in_test_is_a_dash_and_a_note(own_home, tmp_path):
    workspace = Workspace("sample")
    labels = FeatureStore.open(workspace.store_path("unaligned")).utterances.set_index("id")["label"]
    split = SplitManifest.load(workspace.split_path("standard"))
    neutral = tuple(name for name in split.splits["test"] if labels[name] == 0)
    others = tuple(name for name in split.splits["test"] if labels[name] != 0)
    assert neutral
    splits = {**split.splits, "train": split.splits["train"] + others, "test": neutral}
    replace(split, splits=splits).save(workspace.split_path("neutral"))
    tables = write_tables(tmp_path / "tables", overrides=("data.split=neutral", "model.maci=none"))
    plan = make_plan(load_table("table1", tables), rows=["CIDer"], seeds=(1,))
    result = ReproducedTable(
        plan, reproduce(plan, tmp_path / "runs", Watch(lambda line: None)), tmp_path / "runs"
    )
    assert lines_of(result.tables[1], "CIDer")["ours, strict"] == ["-"]
    *_, page = result.write(tmp_path / "page")
    for text in ("tiny_binary, seed 1: The test fold has no utterance of class negative", "undefined"):
        assert text in page.read_text(encoding="utf-8")
    content = json.loads((tmp_path / "page/table.json").read_text(encoding="utf-8"), **NO_JSON)
    cell = content["rows"][1]["cells"]["whole_acc2"]
    assert (cell["strict"]["mean"], cell["strict_minus_published"]) == (None, None)


def test_pages_of_different_overrides_do_not_meet(tables):
    table = load_table("table1", tables)
    assert str(report_folder(make_plan(table, seeds=[1]))) == "reports/table1"
    changed = make_plan(table, seeds=[1], overrides=["model.layers=2"])
    assert str(report_folder(changed)) == "reports/table1-layers_2"
    intro = " ".join(ReproducedTable(changed, Measurements(), report_folder(changed)).intro())
    assert "changed by model.layers=2, so it is not the paper's setting" in intro


@pytest.mark.parametrize(
    ("value", "unit", "sign", "text"),
    [
        (72.06, "percent", False, "72.1"),
        (1.26, "percent", True, "+1.3"),
        (-0.01, "percent", True, "+0.0"),
        (None, "percent", False, "-"),
        (float("nan"), "count", False, "-"),
        (247946, "count", False, "247,946"),
        (-1200.0, "count", True, "-1,200"),
        (10.44, "s/epoch", False, "10.4"),
    ],
)
def test_numbers_as_text(value, unit, sign, text):
    assert in_unit(value, unit, sign=sign) == text


def test_a_run_is_tested_on_the_other_corpus_that_a_table_names(two_corpora, tables, reproduced, tmp_path):
    plan = make_plan(load_table("table4", tables), seeds=(1,))
    parent = Path(shutil.copytree(reproduced[0], tmp_path / "runs"))
    result = ReproducedTable(plan, reproduce(plan, parent, Watch(lambda line: None)), parent)
    assert result.tables[0].caption.startswith("sample to second, unaligned, standard folds: AUILC")
    on = Target("second", "unaligned", "standard")
    choices = EvaluationOverrides(pattern="rmfm", rates=SWEEP)
    there = score_run(parent / "tiny_binary-seed1", choices, on=on, report_only=True)
    ours = result.cells["CIDer"]["crossed_acc2"].strict
    assert ours.values == (100 * there.strict.mean_areas["acc2"],)
    assert len(there.answers[0]) != len(
        next(iter(reproduced[1].scores["tiny_binary", 1].values())).answers[0]
    )

    shutil.rmtree(two_corpora / "second")
    with pytest.raises(RunError, match=r"2 inputs are missing for table4: no store 'unaligned' in .*second"):
        reproduce(plan, parent, Watch(lambda line: None))
    again = reproduce(plan, parent, Watch(lambda line: None), report_only=True)
    assert ReproducedTable(plan, again, parent).cells == result.cells
