import dataclasses
import json

import numpy as np
import pytest
from evaluation_builders import PLAN, fold, random_sweep, scored_run
from scipy import stats

from cider.scoring.compare import compare_runs
from cider.scoring.conditions import SweepPlan
from mer_data.errors import RunError


@pytest.fixture
def run(make_recipe):
    """``run(3, "seed=2")``: a run with predictions of its own, always on the same 60 utterances."""

    def make(number, *overrides, plan=PLAN):
        base = random_sweep(plan, size=60).test
        own = random_sweep(plan, size=60, seed=number, checkpoint=f"sha256:{number}")
        views = own.test.views
        if number:  # as sure of the base's labels as its own draw was of its own
            views = random_views(plan, base, number)
        return scored_run(
            make_recipe(*overrides), dataclasses.replace(own, test=fold(base.labels, views)), f"r{number}"
        )

    return make


def random_views(plan, base, number):
    rng = np.random.default_rng(number)
    return {
        view: rng.dirichlet(np.ones(3), size=table.shape[:2]) * 0.4 + 0.6 * table
        for view, table in base.views.items()
    }


def test_a_group_has_mean_and_deviation_over_its_seeds(run):
    runs = [run(1, "seed=1"), run(2, "seed=2"), run(3, "seed=3")]
    (group,) = compare_runs(runs, resamples=100).groups
    for place in range(3):
        values = [one.scores.final["f1"][place] for one in runs]
        assert group.point("f1", place) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    areas = [one.scores.strict.mean_areas["acc2"] for one in runs]
    assert group.area("acc2") == pytest.approx((np.mean(areas), np.std(areas, ddof=1)))
    assert group.seeds == [1, 2, 3]
    assert group.changes is None
    low, high = group.intervals["videos"].areas["acc2"]
    assert low < np.mean(areas) < high


def test_differences_are_to_the_first_group_and_paired(run):
    runs = [run(1), run(2, "model.maci=none"), run(3, "model.maci=none", "seed=2")]
    comparison = compare_runs(runs, resamples=400)
    first, second = comparison.groups
    content = comparison.to_json()["groups"][1]["difference"]
    expected = np.mean([one.scores.final["acc2"] for one in runs[1:]], axis=0) - runs[0].scores.final["acc2"]
    assert content["points"]["acc2"] == pytest.approx(expected)
    assert content["area"]["f1"] == pytest.approx(second.area("f1")[0] - first.area("f1")[0])
    low, high = content["intervals"]["utterances"]["area"]["f1"]
    assert low <= content["area"]["f1"] <= high
    # Paired: the interval of the difference is narrower than those of the scores together.
    widths = [np.diff(group.intervals["utterances"].areas["f1"])[0] for group in comparison.groups]
    assert high - low < np.hypot(*widths)


def test_mcnemar_is_made_pair_by_pair(run):
    runs = [
        run(2, "seed=2"),
        run(1, "seed=1"),
        run(4, "model.maci=none", "seed=8"),
        run(3, "model.maci=none", "seed=7"),
    ]
    comparison = compare_runs(runs, resamples=100)
    by_seed = {(one.trained_with["model.maci"], one.seed): one for one in runs}
    tests = [test for test in comparison.tests if test.metric == "acc2"]
    assert [(test.point, test.seeds) for test in tests] == [
        (point, pair) for point in (0, 1) for pair in ((1, 7), (2, 8))
    ]
    labels = runs[0].test.labels
    some, truth = labels != 0, np.sign(labels) + 1
    p_values = []
    for test in tests:
        first, second = (
            by_seed[maci, seed].scores.answers[test.point].argmax(axis=1)[some] == truth[some]
            for maci, seed in zip(("both", "none"), test.seeds, strict=True)
        )
        b, c = int((first & ~second).sum()), int((second & ~first).sum())
        assert (test.result.only_first, test.result.only_second) == (b, c)
        p_values.append(stats.binomtest(b, b + c).pvalue if b + c else 1.0)
        assert test.result.p_value == pytest.approx(p_values[-1])
    label = comparison.groups[1].label
    # Of the two pairs of a point the larger; Holm over the two points.
    at_0, at_1 = max(p_values[:2]), max(p_values[2:])
    low, high = sorted((at_0, at_1))
    adjusted = {low: min(1, 2 * low), high: max(min(1, 2 * low), high)}
    assert comparison.p_values["acc2"] == pytest.approx(
        {(0, label): adjusted[at_0], (1, label): adjusted[at_1]}
    )
    assert set(comparison.p_values) == {"acc2", "acc2_has0", "acc3"}


def test_runs_that_answer_alike_do_not_differ(run):
    first, second = run(1), run(1, "model.maci=none")
    second = dataclasses.replace(second, identity=second.identity | {"checkpoint": "sha256:other"})
    comparison = compare_runs([first, second], resamples=100)
    assert {test.result.p_value for test in comparison.tests} == {1.0}
    assert (comparison.groups[1].changes["videos"].areas["acc3"] == 0).all()


def test_a_run_that_is_better_differs(run):
    worse, better = run(1), run(2, "model.maci=none")
    labels = better.test.labels
    answers = np.broadcast_to(np.eye(3)[(np.sign(labels) + 1).astype(int)], better.scores.answers.shape)
    better = dataclasses.replace(better, scores=dataclasses.replace(better.scores, answers=answers))
    comparison = compare_runs([worse, better], resamples=200)
    assert comparison.p_values["acc3"][1, comparison.groups[1].label] < 0.01
    assert comparison.groups[1].changes["videos"].areas["acc3"][0] > 0


def test_groups_of_different_sizes_are_noted(run):
    comparison = compare_runs([run(1, "seed=1"), run(2, "seed=2"), run(3, "model.maci=none")], resamples=100)
    assert len([test for test in comparison.tests if test.metric == "acc2"]) == 2
    assert any("different numbers of runs" in note for note in comparison.notes)


def test_several_mask_seeds_are_averaged(run):
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.5), (0, 1))
    runs = [run(1, plan=plan), run(2, "seed=2", plan=plan)]
    (group,) = compare_runs(runs, resamples=100).groups
    assert group.point("acc2", 1)[0] == pytest.approx(
        np.mean([one.scores.strict.values["acc2"][1] for one in runs])
    )


def test_json_is_for_any_reader_and_has_strict_scores_only(run):
    content = json.loads(
        json.dumps(
            compare_runs([run(1), run(2, "model.maci=none")], resamples=100).to_json(), allow_nan=False
        )
    )
    assert content["protocol"] == "strict"
    assert "paper" not in json.dumps(content)
    assert [group["label"] for group in content["groups"]] == [
        "tiny (model.maci=both)",
        "tiny (model.maci=none)",
    ]
    assert content["groups"][0]["difference"] is None
    assert content["groups"][0]["mean_and_std"]["acc2"][0][1] is None  # one run has no deviation
    assert content["tests"][0].keys() >= {"p_value", "only_first_right", "seeds"}
    assert content["p_values_holm"][0]["point"] == "0.0"
    assert content["groups"][1]["digests"][0]["checkpoint"] == "sha256:2"


def test_one_run_is_nothing_to_compare(run):
    with pytest.raises(RunError, match="nothing to compare: found 1 run, expected two runs or more"):
        compare_runs([run(1)], resamples=100)
