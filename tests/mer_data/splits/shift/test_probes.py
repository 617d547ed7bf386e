import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import make_blobs

from mer_data.splits.shift.probes import bag_of_words_probe, cross_validated, embedding_probe
from mer_data.splits.shift.words import NumberedWords
from mer_data.tasks import TASKS

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]


def rows(start, stop):
    return np.arange(start, stop)


def bag_of_words(tokens, classes, task):
    return bag_of_words_probe(NumberedWords.from_rows(tokens), classes, task)


def telling_corpus(num_rows, seed=0):
    """Texts of fillers and one word that tells the class: negative, neutral, positive in turn."""
    rng = np.random.default_rng(seed)
    classes = np.arange(num_rows) % 3
    words = np.array(["awful", "so-so", "great"])[classes]
    fillers = [list(rng.choice([f"f{i}" for i in range(9)], 3)) for _ in range(num_rows)]
    return [[*own, word] for own, word in zip(fillers, words, strict=True)], classes


def regression_by_scipy(features, signs, others):
    """Signs (0 or 1) of ``others`` by logistic regression with a squared penalty, from its formula."""

    def loss(weights):
        margin = (2 * signs - 1) * (features @ weights[1:] + weights[0])
        return np.logaddexp(0, -margin).sum() + 0.5 * weights[1:] @ weights[1:]

    weights = minimize(loss, np.zeros(features.shape[1] + 1), method="BFGS", options={"gtol": 1e-8}).x
    return (others @ weights[1:] + weights[0] > 0).astype(int)


@pytest.mark.parametrize("seed", range(3))
def test_a_bag_of_words_is_logistic_regression_on_which_words_occur(seed):
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(12)]
    tokens = [list(rng.choice(words, size=rng.integers(1, 6))) for _ in range(120)]
    lean = rng.normal(size=12)
    classes = np.array(
        [0 if lean[[words.index(w) for w in row]].sum() + rng.normal() < 0 else 2 for row in tokens]
    )
    tokens[0].append("once")  # a word of one training text is no feature
    tokens[100].append("once")
    bag = np.array([[word in row for word in words] for row in tokens], dtype=float)
    train, test = rows(0, 80), rows(80, 120)
    predicted = 2 * regression_by_scipy(bag[train], classes[train] // 2, bag[test])
    expected = (predicted == classes[test]).mean()
    assert bag_of_words(tokens, classes, BINARY)(train, test) == pytest.approx(expected)
    assert 0.6 < expected < 1


def test_a_word_that_tells_the_class_is_all_a_probe_needs():
    tokens, classes = telling_corpus(90)
    for task in (BINARY, SEVEN):
        probe = bag_of_words(tokens, classes, task)
        assert probe(rows(0, 60), rows(60, 90)) == 1.0
        assert cross_validated(probe, rows(0, 60), classes) == 1.0


def test_where_the_word_turns_round_every_answer_is_wrong():
    tokens, classes = telling_corpus(90)
    turned = np.where(rows(0, 90) < 60, classes, 2 - classes)
    assert bag_of_words(tokens, turned, BINARY)(rows(0, 60), rows(60, 90)) == 0.0


def test_shuffled_labels_are_chance():
    tokens, classes = telling_corpus(600)
    values = []
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(classes)
        probe = bag_of_words(tokens, shuffled, BINARY)
        values.append(probe(rows(0, 400), rows(400, 600)))
    assert 0.4 < np.mean(values) < 0.6


def test_neutral_utterances_are_left_out_of_acc2_but_not_of_acc7():
    tokens, classes = telling_corpus(90)
    misleading = [["awful", "great"] if own == 1 else row for row, own in zip(tokens, classes, strict=True)]
    polar = np.flatnonzero(classes != 1)
    train, test = rows(0, 60), rows(60, 90)
    probe = bag_of_words(misleading, classes, BINARY)
    assert probe(train, test) == probe(train[classes[train] != 1], test[classes[test] != 1]) == 1.0
    only_neutral = np.flatnonzero(classes == 1)
    assert np.isnan(probe(polar, only_neutral))
    seven = bag_of_words(misleading, classes, SEVEN)
    assert seven(polar, only_neutral) == 0.0  # neutral is no class that it knows
    assert seven(polar, test) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("train", "test"),
    [([0, 3, 6], [2, 5]), ([1, 4], [2]), ([], [2]), ([0, 2, 3, 5], []), ([0, 2, 3, 5], [1])],
    ids=["one class", "neutral alone", "no training", "no test", "neutral test"],
)
def test_where_nothing_can_be_learned_or_scored_the_accuracy_is_undefined(train, test):
    tokens, classes = telling_corpus(9)
    probe = bag_of_words(tokens, classes, BINARY)
    assert np.isnan(probe(np.array(train, dtype=int), np.array(test, dtype=int)))


@pytest.mark.parametrize("tokens", [[[]] * 6, [[f"w{i}"] for i in range(6)]], ids=["empty", "all different"])
def test_without_a_word_in_two_texts_the_accuracy_is_undefined(tokens):
    classes = np.array([0, 2, 0, 2, 0, 2])
    assert np.isnan(bag_of_words(tokens, classes, BINARY)(rows(0, 4), rows(4, 6)))


def test_texts_of_equal_length_are_no_matrix():
    probe = bag_of_words([["bad", "film"], ["good", "film"]] * 4, np.array([0, 2] * 4), BINARY)
    assert probe(rows(0, 4), rows(4, 8)) == 1.0


def test_embeddings_count_by_their_direction():
    points, labels = make_blobs(200, centers=[[2, 0, 0], [0, 2, 0]], cluster_std=0.4, random_state=0)
    classes = 2 * labels
    train, test = rows(0, 150), rows(150, 200)
    accuracy = embedding_probe(points, classes, BINARY)(train, test)
    assert accuracy > 0.95
    stretched = points * np.random.default_rng(0).uniform(0.1, 50, size=(200, 1))
    assert embedding_probe(stretched.astype(np.float32), classes, BINARY)(train, test) == accuracy
    shuffled = np.random.default_rng(1).permutation(classes)
    assert 0.3 < embedding_probe(points, shuffled, BINARY)(train, test) < 0.7


def test_cross_validation_tests_every_row_once_on_folds_of_equal_classes():
    classes = np.array([0] * 23 + [1] * 7 + [2] * 30)
    chosen = np.flatnonzero(np.arange(60) % 6 != 5)
    asked = []

    def probe(train, test):
        asked.append((train, test))
        return float(len(asked))

    assert cross_validated(probe, chosen, classes) == np.mean([1, 2, 3, 4, 5])
    assert sorted(np.concatenate([test for _, test in asked])) == chosen.tolist()
    for train, test in asked:
        assert sorted([*train, *test]) == chosen.tolist()
        assert np.abs(np.bincount(classes[test], minlength=3) - np.bincount(classes[chosen]) / 5).max() <= 1
