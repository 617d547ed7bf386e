import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from cider.scoring.metrics import (
    accuracy_names,
    areas,
    auilc,
    mean_and_std,
    metric_names,
    right_answers,
    score,
    score_many,
    scores,
)
from mer_data.errors import RunError
from mer_data.tasks import TASKS

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]


def one_hot(classes: list[int], num_classes: int) -> np.ndarray:
    return np.eye(num_classes)[classes]


def weighted_f1(predicted: np.ndarray, truth: np.ndarray) -> float:
    """F1 from its definition, averaged by the support of every true class."""
    total = 0.0
    for c in np.unique(truth):
        hits = ((predicted == c) & (truth == c)).sum()
        total += (truth == c).sum() * 2 * hits / ((predicted == c).sum() + (truth == c).sum())
    return total / len(truth)


def test_binary_scores_by_hand():
    # truth:      negative   negative   neutral    positive   positive
    labels = np.array([-2.0, -0.2, 0.0, 0.4, 3.0])
    probabilities = np.array(
        [
            [0.7, 0.2, 0.1],  # negative: right
            [0.3, 0.4, 0.3],  # neutral: wrong; negative ties with positive: negative
            [0.2, 0.3, 0.5],  # positive: wrong of three, right with zero as non-negative
            [0.4, 0.5, 0.1],  # neutral: wrong; negative beats positive
            [0.0, 0.1, 0.9],  # positive: right
        ]
    )
    found = scores(probabilities, labels, BINARY)
    assert list(found) == ["acc2", "f1", "acc2_has0", "f1_has0", "acc3", "f1_3"] == metric_names(BINARY)
    assert found["acc2"] == pytest.approx(2 / 4)
    assert found["f1"] == pytest.approx(2 / 3)  # precision 1, recall 1/2 for both classes
    assert found["acc2_has0"] == pytest.approx(4 / 5)
    assert found["f1_has0"] == pytest.approx((2 * 4 / 5 + 3 * 4 / 5) / 5)
    assert found["acc3"] == pytest.approx(2 / 5)
    assert found["f1_3"] == pytest.approx((2 * 2 / 3 + 1 * 0 + 2 * 1 / 2) / 5)


def test_seven_scores_by_hand():
    labels = np.array([-3.0, -0.5, 0.5, 1.5, 2.6])  # classes 0, 3, 3, 5, 6: halves go to the even number
    found = scores(one_hot([0, 3, 2, 5, 5], 7), labels, SEVEN)
    assert list(found) == ["acc7", "f1_7"] == metric_names(SEVEN)
    assert found["acc7"] == pytest.approx(3 / 5)
    assert found["f1_7"] == pytest.approx((1 * 1 + 2 * 2 / 3 + 1 * 2 / 3 + 1 * 0) / 5)


@pytest.mark.parametrize("task", [BINARY, SEVEN])
def test_scores_equal_an_independent_formula(task):
    rng = np.random.default_rng(0)
    labels = rng.choice(np.round(np.linspace(-3, 3, 31), 1), size=300)
    debiased = rng.normal(size=(300, task.num_classes)) + 1.5 * one_hot(
        task.class_of(labels), task.num_classes
    )
    found, predicted, truth = scores(debiased, labels, task), debiased.argmax(axis=1), task.class_of(labels)
    if task is SEVEN:
        assert found == pytest.approx(
            {"acc7": (predicted == truth).mean(), "f1_7": weighted_f1(predicted, truth)}
        )
        return
    some = labels != 0
    positive, not_negative = debiased[:, 2] > debiased[:, 0], labels >= 0
    assert found == pytest.approx(
        {
            "acc2": (predicted == truth)[some].mean(),
            "f1": weighted_f1(predicted[some], truth[some]),
            "acc2_has0": (positive == not_negative).mean(),
            "f1_has0": weighted_f1(positive, not_negative),
            "acc3": (predicted == truth).mean(),
            "f1_3": weighted_f1(predicted, truth),
        }
    )


def test_score_is_one_of_the_scores():
    rng = np.random.default_rng(3)
    labels, values = rng.choice([-1.0, 0.0, 1.0], size=40), rng.random((40, 3))
    assert scores(values, labels, BINARY) == {
        name: score(values, labels, BINARY, name) for name in metric_names(BINARY)
    }
    with pytest.raises(RunError, match='"binary" has no metric "acc7": expected acc2 or f1 or'):
        score(values, labels, BINARY, "acc7")


def test_an_empty_group_gives_nan():
    found = scores(one_hot([1, 2], 3), np.zeros(2), BINARY)
    assert np.isnan([found["acc2"], found["f1"]]).all()
    assert found["acc3"] == 0.5
    assert np.isnan(list(scores(np.zeros((0, 7)), np.zeros(0), SEVEN).values())).all()


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (
            np.zeros((2, 7)),
            np.zeros(2),
            r'do not fit the task "binary": found scores \(2, 7\) .* expected \(N, 3\)',
        ),
        (np.zeros((2, 3)), np.zeros(3), "do not fit the task"),
        (np.full((2, 3), np.nan), np.zeros(2), "a score or label is not finite"),
        (np.zeros((2, 3)), np.array([0.0, np.inf]), "a score or label is not finite"),
    ],
)
def test_impossible_predictions_are_refused(values, labels, message):
    with pytest.raises(RunError, match=message):
        scores(values, labels, BINARY)


def test_auilc_is_the_trapezoid_area():
    assert auilc([0.0, 0.5, 1.0], [1.0, 0.6, 0.0]) == pytest.approx(0.4 + 0.15)
    assert auilc([0.0, 0.2, 1.0], [0.8, 0.8, 0.8]) == pytest.approx(0.8)
    rates = np.round(np.arange(11) * 0.1, 1)
    assert auilc(rates, 1 - rates) == pytest.approx(0.5)
    assert np.isnan(auilc([0.0, 1.0], [0.3, float("nan")]))


@pytest.mark.parametrize(
    ("rates", "values", "message"),
    [
        ([0.0], [1.0], "found 1 rates and 1 values"),
        ([0.0, 1.0], [1.0], "found 2 rates and 1 values"),
        ([0.0, 0.5, 0.5], [1.0, 1.0, 1.0], r"do not increase: found \[0\.0, 0\.5, 0\.5\]"),
        ([1.0, 0.0], [1.0, 1.0], "do not increase"),
        ([0.0, float("nan")], [1.0, 1.0], "do not increase"),
    ],
)
def test_auilc_refuses(rates, values, message):
    with pytest.raises(RunError, match=message):
        auilc(rates, values)


def test_mean_and_std():
    assert mean_and_std([1.0, 2.0, 4.0]) == pytest.approx((7 / 3, np.sqrt(7 / 3)))
    mean, std = mean_and_std([0.5])
    assert mean == 0.5
    assert np.isnan(std)
    assert np.isnan(mean_and_std([])).all()


def test_areas_are_auilc_of_every_column():
    rates, rng = [0.0, 0.2, 0.7, 1.0], np.random.default_rng(2)
    values = rng.random((4, 3, 2))
    found = areas(rates, values)
    assert found.shape == (3, 2)
    for row in range(3):
        for column in range(2):
            assert found[row, column] == pytest.approx(auilc(rates, values[:, row, column]))


# --- many at once ---


def by_scikit_learn(values, labels, task, weights=None):
    """The metrics of method section 6 by scikit-learn, with weighted utterances."""
    truth, predicted = task.class_of(labels), values.argmax(axis=1)
    weights = np.ones(len(labels)) if weights is None else weights
    groups = {"acc7": ("f1_7", truth, predicted, weights)}
    if task is BINARY:
        some = labels != 0
        positive = (values[:, 2] > values[:, 0]).astype(int)
        groups = {
            "acc2": ("f1", truth[some], predicted[some], weights[some]),
            "acc2_has0": ("f1_has0", (labels >= 0).astype(int), positive, weights),
            "acc3": ("f1_3", truth, predicted, weights),
        }
    result = {}
    for accuracy_name, (f1_name, true, said, weight) in groups.items():
        result[accuracy_name] = accuracy_score(true, said, sample_weight=weight)
        result[f1_name] = f1_score(true, said, average="weighted", sample_weight=weight, zero_division=0)
    return result


@pytest.mark.parametrize("task", [BINARY, SEVEN], ids=lambda task: task.name)
@settings(max_examples=30)
@given(data=st.data())
def test_scores_equal_scikit_learn(task, data):
    size = data.draw(st.integers(2, 30))
    labels = np.array(data.draw(st.lists(st.integers(-15, 15), min_size=size, max_size=size))) / 5
    labels[0] = 1.0  # or acc2 has no utterance
    classes = data.draw(st.lists(st.integers(0, task.num_classes - 1), min_size=size, max_size=size))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)), dtype=float)
    weights[0] = 1
    values = (
        one_hot(classes, task.num_classes) + np.random.default_rng(size).random((size, task.num_classes)) / 2
    )
    assert scores(values, labels, task) == pytest.approx(by_scikit_learn(values, labels, task))
    found = score_many(values[None], labels, task, None, weights[None])
    expected = by_scikit_learn(values, labels, task, weights)
    assert {name: value[0, 0] for name, value in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("task", [BINARY, SEVEN], ids=lambda task: task.name)
def test_many_sets_and_weightings_are_each_on_its_own(task):
    rng = np.random.default_rng(5)
    labels = rng.choice(np.round(np.linspace(-3, 3, 31), 1), size=50)
    values, weights = rng.normal(size=(4, 50, task.num_classes)), rng.integers(0, 3, size=(6, 50))
    found = score_many(values, labels, task, None, weights)
    for x in range(4):
        for r in range(6):
            expected = by_scikit_learn(values[x], labels, task, weights[r])
            assert {name: table[x, r] for name, table in found.items()} == pytest.approx(expected)
    # A weight is a number of copies.
    copies = np.repeat(np.arange(50), weights[0])
    again = scores(values[0][copies], labels[copies], task)
    assert {name: table[0, 0] for name, table in found.items()} == pytest.approx(again)
    chosen = metric_names(task)[1]
    assert list(score_many(values, labels, task, [chosen])) == [chosen]


def test_a_group_without_weight_gives_nan():
    labels, weights = np.array([0.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    found = score_many(one_hot([1, 2], 3)[None], labels, BINARY, ["acc2", "f1", "acc3"], weights)
    assert np.isnan(found["acc2"][0, 0])
    assert np.isnan(found["f1"][0, 0])
    assert (found["acc2"][0, 1], found["acc3"].tolist()) == (1.0, [[1.0, 1.0]])


def test_right_answers_are_those_an_accuracy_counts():
    rng = np.random.default_rng(6)
    for task in (BINARY, SEVEN):
        labels = rng.choice([-2.0, -1.0, 0.0, 1.0], size=60)
        values = rng.random((60, task.num_classes))
        expected = scores(values, labels, task)
        for name in accuracy_names(task):
            member, right = right_answers(values, labels, task, name)
            assert right.sum() / member.sum() == pytest.approx(expected[name])
            assert not (right & ~member).any()
    with pytest.raises(RunError, match='"binary" has no accuracy "f1": expected acc2 or acc2_has0 or acc3'):
        right_answers(np.zeros((1, 3)), np.zeros(1), BINARY, "f1")
