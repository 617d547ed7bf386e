import json

import numpy as np
import pytest
from exact_stores import split_of, write_store
from sklearn.linear_model import LogisticRegression

from mer_data.errors import StatisticsError
from mer_data.splits.shift.probes import balanced_folds
from mer_data.statistics.bias_model import BiasModel, bias_model, bias_origin
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.tasks import TASKS

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]
WORDS = ("bad", "good", "seen")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """60 training texts whose words lean to a class, 20 of validation that agree, 20 of test that do not."""
    generator = np.random.default_rng(0)
    texts, labels = [], []
    for number in range(100):
        kind = number % 3
        leans = generator.random() < 0.8
        word = WORDS[kind if leans else generator.integers(3)]
        shifted = {"bad": "good", "good": "bad"}.get(word, word) if number >= 80 else word
        texts.append(f"film {shifted}")
        labels.append((-1.0, 1.0, 0.0)[kind])
    return write_store(tmp_path_factory.mktemp("bias") / "s.h5", texts, labels)


@pytest.fixture(scope="module")
def split(store):
    return split_of(store, range(60), range(60, 80), range(80, 100))


def fitted(store, split, task=BINARY, **options):
    vocabulary = counterfactual_vocabulary(store, split, task)
    return bias_model(store, split, task, vocabulary.kept_token_ids, "sha256:v", **options)


def test_probabilities_are_out_of_fold(store, split):
    """An independent fit of one fold by hand gives the same numbers."""
    made = fitted(store, split)
    vocabulary = counterfactual_vocabulary(store, split, BINARY)
    names = [store.tokenizer.vocabulary[i] for i in vocabulary.kept_token_ids]
    utterances = store.utterances.iloc[:60]
    occurs = np.array([[name in text.split() for name in names] for text in utterances["text"]], dtype=float)
    classes = BINARY.class_of(utterances["label"].to_numpy())
    fold_of = balanced_folds(classes, seed=0)
    held_out = fold_of == 2
    model = LogisticRegression(max_iter=1000).fit(occurs[~held_out], classes[~held_out])
    expected = dict(zip(utterances["id"][held_out], model.predict_proba(occurs[held_out]), strict=True))
    assert len(expected) == 12
    for name, probabilities in zip(made.ids, made.probabilities, strict=True):
        if name in expected:
            np.testing.assert_allclose(probabilities, expected[name], atol=1e-9)


def test_rows_are_distributions_of_the_training_utterances(store, split):
    made = fitted(store, split)
    assert made.ids == sorted(split.splits["train"])
    np.testing.assert_allclose(made.probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(made.prior, [1 / 3] * 3)


def test_words_are_right_where_they_lean_and_wrong_where_they_are_shifted(store, split):
    accuracy = fitted(store, split).accuracy
    assert accuracy["train"] > 0.7
    assert accuracy["valid"] > 0.7
    assert accuracy["test"] < 0.4


def test_strongest_words_are_those_of_the_class(store, split):
    strongest = fitted(store, split).strongest
    assert {name: words[0][0] for name, words in strongest.items()} == {
        "negative": "bad",
        "neutral": "seen",
        "positive": "good",
    }


def test_classes_that_training_lacks_have_no_probability(store, split):
    made = fitted(store, split, SEVEN)
    absent = np.flatnonzero(made.prior == 0)
    assert len(absent) == 4
    assert not made.probabilities[:, absent].any()


def test_a_saved_model_is_read_as_it_was(store, split, tmp_path):
    made = fitted(store, split)
    made.save(tmp_path / "b.json")
    read = BiasModel.load(tmp_path / "b.json")
    np.testing.assert_allclose(read.probabilities, made.probabilities, atol=1e-6)
    assert (read.ids, read.task, read.origin, read.strongest) == (
        made.ids,
        made.task,
        made.origin,
        made.strongest,
    )
    assert read.accuracy == pytest.approx(made.accuracy, abs=1e-6)
    read.check(bias_origin(store, split, "sha256:v"), BINARY, tmp_path / "b.json")


def test_another_split_is_refused(store, split, tmp_path):
    made = fitted(store, split)
    other = split_of(store, range(50), range(50, 80), range(80, 100))
    with pytest.raises(StatisticsError, match="computed from another split"):
        made.check(bias_origin(store, other, "sha256:v"), BINARY, tmp_path / "b.json")


def test_another_vocabulary_is_refused(store, split, tmp_path):
    with pytest.raises(StatisticsError, match="computed from another vocabulary"):
        fitted(store, split).check(bias_origin(store, split, "sha256:w"), BINARY, tmp_path / "b.json")


def test_a_change_is_found(store, split, tmp_path):
    path = tmp_path / "b.json"
    fitted(store, split).save(path)
    content = json.loads(path.read_text())
    content["probabilities"][0] = [1.0, 0.0, 0.0]
    path.write_text(json.dumps(content))
    with pytest.raises(StatisticsError, match=r"was changed after it was made.*mer-data bias-model --force"):
        BiasModel.load(path)


@pytest.mark.parametrize("text", ["", "[1]", "{}", "null", '{"format": 3}'])
def test_damage_is_one_line(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(StatisticsError, match="Make it again with `mer-data bias-model --force`"):
        BiasModel.load(tmp_path / "b.json")


def test_an_absent_file_names_the_command(tmp_path):
    with pytest.raises(StatisticsError, match=r"no bias model.*Make it with `mer-data bias-model`"):
        BiasModel.load(tmp_path / "b.json")


def test_one_class_is_refused(store):
    only = [row for row in range(60) if row % 3 == 0]
    with pytest.raises(StatisticsError, match="the training fold has one class"):
        bias_model(store, split_of(store, only), BINARY, np.array([5]), "v")


def test_a_class_of_one_utterance_is_refused(store):
    rows = [row for row in range(60) if row % 3 == 0] + [1]
    with pytest.raises(StatisticsError, match="class positive has one training utterance"):
        bias_model(store, split_of(store, rows), BINARY, np.array([5]), "v")


def test_an_empty_vocabulary_is_refused(store, split):
    with pytest.raises(StatisticsError, match="the counterfactual vocabulary has no words"):
        bias_model(store, split, BINARY, np.array([], dtype=np.int64), "v")
