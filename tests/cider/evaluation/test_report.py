import json
import math

import pytest

from cider.evaluation.report import METRIC_TITLES, seeds_table, sweep_table, write_report
from cider.evaluation.sweep import SweepScores
from mer_data.errors import RunError

PROVENANCE = {
    "fold_sizes": {"train": 60, "valid": 12, "test": 24},
    "store_digest": "sha256:abc",
    "split_digest": "sha256:def",
}
NAMES = ("acc2", "f1", "acc2_has0", "f1_has0", "acc3", "f1_3")


def sweep(rates=(0.0, 0.5, 1.0), *, debiased=True, lift=0.0):
    plain = {name: [0.8 - 0.01 * i - 0.3 * rate + lift for rate in rates] for i, name in enumerate(NAMES)}
    better = {name: [value + 0.05 for value in values] for name, values in plain.items()}
    return SweepScores(rates, 0.7 if debiased else None, "acc2", plain, better if debiased else None)


def write(tmp_path, scores, recipe):
    folder = tmp_path / "reports" / "rmm-mask3"
    paths = write_report(folder, scores, recipe, PROVENANCE, "rmm", 3)
    return folder, paths


def table_rows(markdown):
    """Cells of every table row but the headers and marks."""
    lines = markdown.replace("\\-", "-").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] not in (":--", "Missing rate")]


def test_the_report_is_whole(make_recipe, tmp_path):
    folder, paths = write(tmp_path, sweep(), make_recipe())
    names = ["metrics.json", "scores_by_rate.png", "scores_by_rate.pdf", "summary.md", "summary.html"]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert (folder / "scores_by_rate.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "scores_by_rate.pdf").read_bytes().startswith(b"%PDF")
    html = (folder / "summary.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in html
    text = (folder / "summary.md").read_text(encoding="utf-8")
    for page in (html, text):
        assert "tau = 0.7, best Acc2" in page
        assert "Missing pattern rmm, mask seed 3" in page
        assert "60 / 12 / 24" in page
        assert "sha256:abc" in page
        assert "sha256:def" in page
    assert "(scores_by_rate.png)" in text


def test_tables_show_the_numbers_of_the_metrics_file(make_recipe, tmp_path):
    scores = sweep()
    folder, _ = write(tmp_path, scores, make_recipe())
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == scores.to_json()
    rows = table_rows((folder / "summary.md").read_text(encoding="utf-8"))
    expected = []
    for values in (metrics["debiased"], metrics["plain"]):
        for index, rate in enumerate(metrics["rates"]):
            expected.append([str(rate), *(f"{100 * values[name][index]:.1f}" for name in NAMES)])
        areas = [(values[name][0] + 2 * values[name][1] + values[name][2]) / 4 for name in NAMES]
        expected.append(["AUILC", *(f"{100 * area:.1f}" for area in areas)])
    assert rows == expected
    html = (folder / "summary.html").read_text(encoding="utf-8")
    for row in rows:
        cells = "".join(f"<td>{cell}</td>" for cell in row[1:])
        assert f'<th scope="row">{row[0]}</th>{cells}' in html


def test_what_is_not_a_number_is_null_and_a_dash(make_recipe, tmp_path):
    scores = sweep(debiased=False)
    scores.plain["f1"][1] = math.nan
    folder, _ = write(tmp_path, scores, make_recipe("model.maci=none"))
    text = (folder / "metrics.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    metrics = json.loads(text)
    assert metrics["plain"]["f1"] == [0.79, None, pytest.approx(0.49)]
    assert metrics["auilc"]["f1"] is None
    rows = table_rows((folder / "summary.md").read_text(encoding="utf-8"))
    assert [row[2] for row in rows] == ["79.0", "-", "49.0", "-"]


def test_scores_without_a_number_are_json_for_any_reader():
    scores = sweep()
    scores.plain["f1"][1] = scores.debiased["f1"][1] = math.nan
    content = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert content["plain"]["f1"][1] is content["debiased"]["f1"][1] is content["auilc"]["f1"] is None


def test_a_report_without_counterfactual_text_has_one_table(make_recipe, tmp_path):
    folder, _ = write(tmp_path, sweep(debiased=False), make_recipe("model.maci=label"))
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert len(table_rows(text)) == 4
    assert "tau =" not in text
    assert "counterfactual" not in text


def test_a_report_of_a_single_rate_has_no_area(make_recipe, tmp_path):
    folder, _ = write(tmp_path, sweep((0.5,)), make_recipe())
    assert [row[0] for row in table_rows((folder / "summary.md").read_text(encoding="utf-8"))] == [
        "0.5",
        "0.5",
    ]
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["auilc"] is None


def test_a_report_of_seven_classes(make_recipe, tmp_path):
    scores = SweepScores((0.0, 1.0), 0.0, "acc7", *[{"acc7": [0.4, 0.2], "f1_7": [0.3, 0.1]}] * 2)
    folder, _ = write(tmp_path, scores, make_recipe("task=seven"))
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert "best Acc7" in text
    assert table_rows(text)[:3] == [
        ["0.0", "40.0", "30.0"],
        ["1.0", "20.0", "10.0"],
        ["AUILC", "30.0", "20.0"],
    ]


def test_a_second_report_replaces_the_first(make_recipe, tmp_path):
    write(tmp_path, sweep(), make_recipe())
    folder, _ = write(tmp_path, sweep((0.5,)), make_recipe())
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["rates"] == [0.5]


def test_equal_scores_give_equal_files(make_recipe, tmp_path):
    contents = []
    for name in ("a", "b"):
        _, paths = write(tmp_path / name, sweep(), make_recipe())
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


# --- tables ---


def test_close_rates_are_told_apart():
    scores = sweep((0.0, 0.05, 0.1, 0.25))
    assert sweep_table(scores, scores.plain)["Missing rate"].tolist() == [
        "0.0",
        "0.05",
        "0.1",
        "0.25",
        "AUILC",
    ]
    table = seeds_table([sweep((0.05,)), sweep((0.05,))])
    assert table.columns.tolist() == ["Metric", "Rate 0.05"]


def test_every_metric_has_a_title():
    from cider.evaluation.metrics import metric_names
    from mer_data.tasks import TASKS

    assert set(METRIC_TITLES) == {name for task in TASKS.values() for name in metric_names(task)}


def test_seeds_give_mean_and_sample_deviation():
    table = seeds_table([sweep(), sweep(lift=0.02), sweep(lift=0.1)]).set_index("Metric")
    # acc2 at rate 0: 85, 87, 95 per cent: mean 89, deviations -4, -2 and 6, variance 56 / 2.
    assert table.loc["Acc2", "Rate 0.0"] == f"89.0 ± {math.sqrt(28):.1f}"
    assert table.loc["Acc2", "AUILC"] == f"74.0 ± {math.sqrt(28):.1f}"
    assert table.index.tolist() == [METRIC_TITLES[name] for name in NAMES]
    assert seeds_table([sweep()]).set_index("Metric").loc["Acc2", "Rate 0.0"] == "85.0"
    assert seeds_table([sweep((0.5,)), sweep((0.5,))]).columns.tolist() == ["Metric", "Rate 0.5"]


def test_runs_that_cannot_be_averaged_are_refused():
    seven = SweepScores((0.0, 0.5, 1.0), None, "acc7", {"acc7": [0.3] * 3, "f1_7": [0.3] * 3}, None)
    with pytest.raises(
        RunError, match="the runs have different metrics: found acc7, f1_7, expected acc2, f1"
    ):
        seeds_table([sweep(), seven])
    with pytest.raises(
        RunError, match=r"the runs have different missing rates: found 0\.0, 1\.0, expected 0\.0, 0\.5"
    ):
        seeds_table([sweep(), sweep((0.0, 1.0))])
