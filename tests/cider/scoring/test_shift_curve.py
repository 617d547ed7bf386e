import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_builders import BINARY, PLAN, fold, random_sweep, scored_run, series_split
from hypothesis import given
from hypothesis import strategies as st

from cider.scoring.conditions import SweepPlan
from cider.scoring.metrics import score
from cider.scoring.shift_curve import SeverityAxis, shift_curves
from cider.scoring.shift_grid import ShiftedRun
from mer_data.errors import RunError, SplitError

LEVELS = (0.0, 0.25, 1.0)


@pytest.fixture
def shifted(make_recipe):
    """``shifted(0.25, "seed=2")``: a run on the split of a severity, with predictions of its own.

    Test folds of neighbouring severities have most of their utterances in common.
    """

    def make(level, *overrides, plan=PLAN, number=0, path=None, **settings):
        start = round(8 * level)
        split = series_split(level, [f"test{row:03d}" for row in range(start, start + 40)], **settings)
        base = random_sweep(plan, size=60, seed=7).test
        own = random_sweep(plan, size=60, seed=number + round(100 * level))
        rows = slice(start, start + 40)
        views = {view: table[:, rows] for view, table in own.test.views.items()}
        test = fold(base.labels[rows], views)
        test = dataclasses.replace(test, ids=base.ids[rows], videos=base.videos[rows])
        name = path or f"runs/{level}-{number}-{'-'.join(overrides)}"
        own = dataclasses.replace(own, test=test)
        own.identity.update(checkpoint=name, split=split.manifest.digest)
        recipe = make_recipe(*overrides, f"data.split=severity{level}")
        return ShiftedRun(scored_run(recipe, own, name), split)

    return make


@pytest.fixture
def grid(shifted):
    """Two seeds of one recipe and two of another at every severity."""
    return [
        shifted(level, f"seed={seed}", *others, number=seed + 10 * len(others))
        for level in LEVELS
        for others in ((), ("model.maci=none",))
        for seed in (1, 2)
    ]


def test_the_area_is_the_trapezoid_rule_over_severity_of_every_seed(grid):
    curves = shift_curves(grid, resamples=100)
    first, second = curves.groups
    assert (first.label, second.label) == ("tiny (model.maci=both)", "tiny (model.maci=none)")
    assert curves.axis.row_names == ["0", "0.25", "1", "area_over_severity", "change"]
    assert curves.place_names == ["0.0", "0.5", "1.0", "auilc"]
    for number, seed in enumerate((1, 2)):
        runs = [one.run for one in grid if one.run.trained_with["model.maci"] == "none"]
        mine = [run for run in runs if run.seed == seed]
        points = np.array(
            [
                [score(run.scores.answers[k], run.test.labels, BINARY, "acc2") for k in range(3)]
                for run in mine
            ]
        )
        points = np.hstack([points, (points @ (0.25, 0.5, 0.25))[:, None]])
        rows = second.strict["acc2"][number]
        np.testing.assert_allclose(rows[:3], points)
        np.testing.assert_allclose(rows[3], (0.125, 0.5, 0.375) @ points)  # halves of the steps beside each
        np.testing.assert_allclose(rows[4], points[2] - points[0])
    np.testing.assert_allclose(second.mean("acc2"), second.strict["acc2"].mean(axis=0))
    expected = np.abs(np.diff(second.strict["acc2"], axis=0))[0] / np.sqrt(2)
    np.testing.assert_allclose(second.deviation("acc2"), expected)
    paper = np.mean([one.run.scores.paper.table.means["f1"][1] for one in grid[:2]])
    assert first.paper_mean("f1")[0, 1] == pytest.approx(paper)


def test_a_resample_draws_from_all_test_folds_together(grid):
    curves = shift_curves(grid, resamples=300)
    group = curves.groups[1]
    for unit in ("utterances", "videos"):
        bounds = group.intervals[unit]["acc2"]
        assert bounds.shape == (5, 4, 2)
        mean = group.mean("acc2")
        assert ((bounds[..., 0] <= mean) & (mean <= bounds[..., 1])).all()
    # A recipe compared with itself on the same resamples differs by nothing at all.
    twin = [
        dataclasses.replace(
            one,
            run=dataclasses.replace(
                one.run,
                path=Path(f"{one.run.path}-twin"),
                trained_with={**one.run.trained_with, "name": "twin"},
                identity={**one.run.identity, "checkpoint": f"{one.run.path}-twin"},
            ),
        )
        for one in grid
        if one.run.trained_with["model.maci"] == "none"
    ]
    same = shift_curves(
        [one for one in grid if one.run.trained_with["model.maci"] == "none"] + twin, resamples=100
    )
    assert same.groups[0].differences is None
    assert not same.groups[1].differences["videos"]["acc2"].any()


@given(
    levels=st.lists(st.floats(0, 1).map(lambda x: round(x, 3)), min_size=2, max_size=6, unique=True),
    value=st.floats(0, 1),
    slope=st.floats(-1, 1),
)
def test_a_straight_line_has_the_mean_of_its_ends_as_area(levels, value, slope):
    axis = SeverityAxis(tuple(sorted(levels)))
    line = value + slope * np.array(axis.levels)
    rows = axis.rows(line[:, None])[:, 0]
    assert rows[-2] == pytest.approx((line[0] + line[-1]) / 2, abs=1e-9)
    assert rows[-1] == pytest.approx(line[-1] - line[0], abs=1e-9)
    whole = (axis.levels[0], axis.levels[-1]) == (0.0, 1.0)
    assert axis.area_name == ("area_over_severity" if whole else "normalised_area_over_severity")


def test_a_single_seed_and_a_single_rate_have_no_deviation_and_no_area(shifted):
    plan = SweepPlan.from_settings("rmfm", (0.5,), (0,))
    curves = shift_curves([shifted(level, plan=plan) for level in (0.25, 1.0)], resamples=100)
    (group,) = curves.groups
    assert curves.place_names == ["0.5"]
    assert np.isnan(group.deviation("acc2")).all()
    assert group.differences is None
    content = json.loads(json.dumps(curves.to_json(), allow_nan=False))
    assert content["rows"][-2] == "normalised_area_over_severity"
    metric = content["groups"][0]["metrics"]["acc2"]
    assert metric["deviation_over_seeds"] == [[None]] * 4
    np.testing.assert_allclose(metric["paper_minus_strict"], np.subtract(metric["paper"], metric["strict"]))


# --- what is no curve ---


def test_one_severity_is_no_curve(shifted):
    with pytest.raises(RunError, match=r"needs two severities or more: found severity 0.25 alone"):
        shift_curves([shifted(0.25), shifted(0.25, "seed=2", number=2)], resamples=100)


def test_two_runs_of_one_split_and_seed_are_refused(shifted):
    runs = [shifted(0.0), shifted(1.0), shifted(1.0, number=5)]
    with pytest.raises(RunError, match="one recipe on one split with one seed: found severity 1, seed 1111"):
        shift_curves(runs, resamples=100)


def test_one_run_twice_is_refused(shifted):
    with pytest.raises(RunError, match="are one run"):
        shift_curves([shifted(0.0), shifted(1.0), shifted(1.0)], resamples=100)


def test_a_seed_that_a_severity_lacks_is_named(shifted):
    runs = [shifted(0.0), shifted(1.0), shifted(0.0, "seed=2", number=2)]
    with pytest.raises(RunError, match=r"lacks runs.*no run of seed 2 at severity 1"):
        shift_curves(runs, resamples=100)


def test_a_recipe_that_was_not_trained_everywhere_is_named(shifted):
    runs = [shifted(0.0), shifted(1.0), shifted(0.25), shifted(0.0, "name=plain", number=2)]
    with pytest.raises(RunError, match=r"plain lacks runs.*seed 1111 at severity 0.25; seed 1111 at"):
        shift_curves(runs, resamples=100)


@pytest.mark.parametrize("other", [{"task": "seven"}, {"dataset": "mosi"}, {"seed": 4}])
def test_other_tasks_datasets_and_searches_are_refused(shifted, other):
    with pytest.raises(SplitError, match=f"are of different series: another {next(iter(other))}"):
        shift_curves([shifted(0.0), shifted(1.0, **other)], resamples=100)
