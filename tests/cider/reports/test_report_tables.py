import math

import numpy as np
import pytest
from evaluation_builders import PLAN, measured, random_sweep

from cider.reports.tables import (
    METRIC_TITLES,
    change_table,
    interval_table,
    percent,
    protocol_table,
    protocols_table,
    seeds_spread,
    seeds_table,
    sweep_table,
    with_interval,
    with_spread,
)
from cider.scoring.conditions import SweepPlan
from cider.scoring.metrics import metric_names
from cider.scoring.protocols import MetricTable, score_sweep
from mer_data.errors import RunError
from mer_data.tasks import TASKS


def table(values, plan=PLAN):
    return MetricTable(plan, {"acc2": np.array(values)})


def test_every_metric_has_a_title():
    assert set(METRIC_TITLES) == {name for task in TASKS.values() for name in metric_names(task)}


def test_numbers_for_a_person():
    assert percent(0.8251) == "82.5"
    assert percent(0.0123, sign=True) == "+1.2"
    assert percent(-0.0001, sign=True) == "+0.0"
    assert percent(-0.0001) == "0.0"
    assert percent(math.nan) == "-"
    assert with_spread(0.5, 0.0123) == "50.0 ± 1.2"
    assert with_spread(0.5, math.nan) == "50.0"
    assert with_interval("50.0", np.array([0.4, 0.61])) == "50.0 [40.0, 61.0]"
    assert with_interval("-", np.array([math.nan] * 2)) == "-"


def test_a_sweep_has_a_row_per_point_and_one_for_the_area():
    frame = sweep_table(table([[0.8], [0.6], [0.4]]))
    assert frame.to_numpy().tolist() == [["0.0", "80.0"], ["0.5", "60.0"], ["1.0", "40.0"], ["AUILC", "60.0"]]
    assert frame.columns.tolist() == ["Missing rate", "Acc2"]
    two = SweepPlan.from_settings("rmfm", (0.0, 1.0), (0, 1))
    frame = sweep_table(table([[0.8, 0.8], [0.4, 0.6]], two))
    deviation = 100 * 0.2 / math.sqrt(2)
    assert frame["Acc2"].tolist() == ["80.0 ± 0.0", f"50.0 ± {deviation:.1f}", f"65.0 ± {deviation / 2:.1f}"]
    assert sweep_table(table([[0.5]], SweepPlan.from_settings("rmfm", (0.5,), (0,))))[
        "Missing rate"
    ].tolist() == ["0.5"]


def test_intervals_stand_beside_their_scores():
    sweep = measured(random_sweep(size=40))
    interval = sweep.intervals.strict["utterances"]
    frame = sweep_table(sweep.scores.strict, ["acc3"], interval)
    low, high = interval.areas["acc3"]
    area = sweep.scores.strict.mean_areas["acc3"]
    assert frame["Acc3"].tolist()[-1] == f"{100 * area:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    long = interval_table(sweep.scores, sweep.intervals)
    assert long.columns.tolist() == ["Missing rate", "Metric", "Score", "over utterances", "over videos"]
    assert long["Missing rate"].tolist() == ["0.0"] * 6 + ["AUILC"] * 6
    row = long[(long["Missing rate"] == "AUILC") & (long["Metric"] == "Acc3")].iloc[0]
    assert row["over utterances"] == f"[{100 * low:.1f}, {100 * high:.1f}]"


def test_both_protocols_stand_side_by_side():
    scores = score_sweep(random_sweep(size=40))
    frame = protocol_table(scores, "acc2")
    assert frame.columns.tolist() == ["Missing rate", "strict", "paper", "difference"]
    assert frame["strict"].tolist()[:3] == [percent(value) for value in scores.strict.means["acc2"]]
    assert frame["paper"].tolist()[3] == percent(scores.paper.table.mean_areas["acc2"])
    wide = protocols_table(scores, ["acc2", "f1"])
    assert wide.columns.tolist() == ["Missing rate", "Acc2", "F1"]
    first = frame.iloc[0]
    assert wide["Acc2"].tolist()[0] == f"{first['strict']} / {first['paper']} ({first['difference']})"


def test_the_change_is_with_minus_without():
    sweep = next(
        one for one in (measured(random_sweep(size=40, seed=seed)) for seed in range(50)) if one.scores.tau
    )
    frame = change_table(sweep.scores, sweep.intervals.change["videos"]).set_index(["Missing rate", "Metric"])
    row = frame.loc[("AUILC", "Acc2")]
    before, after = (t.mean_areas["acc2"] for t in (sweep.scores.without, sweep.scores.strict))
    assert (row["without"], row["with"]) == (percent(before), percent(after))
    assert row["change"].startswith(f"{percent(after - before, sign=True)} [")


# --- several runs ---


def test_seeds_give_mean_and_sample_deviation():
    sweeps = [score_sweep(random_sweep(seed=seed)) for seed in (1, 2, 3)]
    values = [100 * sweep.final["acc3"][0] for sweep in sweeps]
    areas = [100 * sweep.strict.mean_areas["acc3"] for sweep in sweeps]
    frame = seeds_table(sweeps).set_index("Metric")
    assert frame.loc["Acc3", "Missing rate 0.0"] == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert frame.loc["Acc3", "AUILC"] == f"{np.mean(areas):.1f} ± {np.std(areas, ddof=1):.1f}"
    assert list(seeds_spread(sweeps)["acc2"]) == ["0.0", "auilc"]
    single = SweepPlan.from_settings("rmfm", (0.05,), (0,))
    one = seeds_table([score_sweep(random_sweep(single)), score_sweep(random_sweep(single, seed=1))])
    assert one.columns.tolist() == ["Metric", "Missing rate 0.05"]


def test_runs_that_cannot_be_averaged_are_refused():
    binary = score_sweep(random_sweep())
    seven = score_sweep(random_sweep(task=TASKS["seven"]))
    with pytest.raises(RunError, match="different metrics: found acc7, f1_7, expected acc2, f1"):
        seeds_table([binary, seven])
    other = score_sweep(random_sweep(SweepPlan.from_settings("rmfm", (0.0, 1.0), (0,))))
    with pytest.raises(RunError, match=r"different missing rates: found 0\.0, 1\.0, expected 0\.0, 0\.5"):
        seeds_table([binary, other])
