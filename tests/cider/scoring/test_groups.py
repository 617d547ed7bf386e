import dataclasses
from pathlib import Path

import numpy as np
import pytest
from evaluation_builders import BINARY, PLAN, SEVEN, fold, random_sweep, scored_run

from cider.scoring.groups import group_runs, on_same_utterances
from cider.scoring.metrics import scores
from mer_data.errors import RunError


@pytest.fixture
def run(make_recipe):
    """``run("path", "seed=2", number=3)``: a run with predictions of its own on the same utterances."""
    base = random_sweep().test

    def make(path, *overrides, number=0, **identity):
        predictions = random_sweep(seed=number, **{"checkpoint": f"sha256:{path}", **identity})
        predictions = dataclasses.replace(predictions, test=fold(base.labels, predictions.test.views))
        return scored_run(make_recipe(*overrides), predictions, path)

    return make


def labels(runs):
    return {label: [str(one.path) for one in members] for label, members in group_runs(runs).items()}


# --- the same utterances ---


def test_answers_are_put_in_the_order_of_the_first_run(run):
    first, second = run("a"), run("b", "seed=2", number=1)
    order = np.random.default_rng(0).permutation(24)
    test = second.test
    shuffled = dataclasses.replace(
        second,
        test=dataclasses.replace(
            test,
            ids=[test.ids[row] for row in order],
            labels=test.labels[order],
            views={view: table[:, order] for view, table in test.views.items()},
        ),
        scores=dataclasses.replace(second.scores, answers=second.scores.answers[:, order]),
    )
    _, found = on_same_utterances([first, shuffled])
    assert np.array_equal(found.scores.answers, second.scores.answers)
    assert found.test.ids == first.test.ids
    assert (
        scores(found.scores.answers[0], found.test.labels, BINARY)["acc2"] == second.scores.final["acc2"][0]
    )


def test_other_utterances_are_refused_with_their_numbers(run):
    first, second = run("a"), run("b", "seed=2")
    ids = ["x1", "x2", "x3", "x4", *second.test.ids[:18]]
    other = dataclasses.replace(second, test=dataclasses.replace(second.test, ids=ids))
    with pytest.raises(RunError) as info:
        on_same_utterances([first, other])
    assert str(info.value) == (
        "b and a were tested on different utterances: found 22, 4 of them alone (x1, x2, x3, ...), expected"
        " 24, 6 of them alone (test018, test019, test020, ...). Compare runs of one split."
    )


def test_other_labels_are_refused(run):
    first, second = run("a"), run("b", "seed=2")
    changed = second.test.labels.copy()
    changed[5] = -changed[5] + 0.25
    other = dataclasses.replace(second, test=dataclasses.replace(second.test, labels=changed))
    with pytest.raises(RunError, match="b and a have different labels: found 1 utterances, such as test005"):
        on_same_utterances([first, other])


def test_other_tasks_are_refused(run, make_recipe):
    seven = scored_run(
        make_recipe("task=seven", "model.maci=none"), random_sweep(PLAN, SEVEN, checkpoint="s"), "c"
    )
    with pytest.raises(RunError, match="c and a are for different tasks: found seven, expected binary"):
        on_same_utterances([run("a"), seven])


def test_a_run_is_not_compared_with_itself(run):
    with pytest.raises(RunError, match="b and a are one run: their checkpoints are equal"):
        on_same_utterances([run("a"), run("b", checkpoint="sha256:a")])


def test_runs_of_equal_weights_with_and_without_counterfactual_text_are_two(run):
    one, other = run("a"), run("b", "model.maci=label", checkpoint="sha256:a")
    assert [each.path for each in on_same_utterances([one, other])] == [one.path, other.path]


# --- groups ---


def test_runs_that_differ_in_the_seed_only_are_a_group(run):
    runs = [
        run("b2", "seed=2"),
        run("plain", "model.maci=none"),
        run("b1", "seed=1"),
        run("b3", "seed=3", "evaluation.rates=[0.5]"),
    ]
    assert labels(runs) == {"tiny (model.maci=both)": ["b1", "b2", "b3"], "tiny (model.maci=none)": ["plain"]}


def test_a_name_that_is_enough_is_all_of_the_label(run):
    runs = [
        run("a"),
        run("b", "name=other", "model.maci=none"),
        run("c", "name=other", "model.maci=none", "seed=2"),
    ]
    assert labels(runs) == {"tiny": ["a"], "other": ["c", "b"]}


def test_other_data_are_another_group(run):
    runs = [
        run("a"),
        run("b", "seed=2", split="sha256:0123456789abcdef"),
        run("c", "seed=3", store="sha256:ff"),
    ]
    assert list(labels(runs)) == [
        "tiny (store=sha256:abc, split=sha256:def)",
        "tiny (store=sha256:abc, split=sha256:01234567)",
        "tiny (store=sha256:ff, split=sha256:def)",
    ]


def test_one_seed_twice_is_refused(run):
    with pytest.raises(RunError, match="a and b are trained by one recipe with one seed: found seed 1111"):
        group_runs([run("a"), run("b")])


def test_paths_are_kept(run):
    assert run("runs/one").path == Path("runs/one")
