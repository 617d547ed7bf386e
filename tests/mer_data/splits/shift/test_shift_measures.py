"""``ShiftMeter``: each measure against plain loops over the same corpus, and by hand."""

import numpy as np
import pandas as pd
import pytest

from mer_data.splits.shift.divergence import random_divergence, random_side, split_divergence
from mer_data.splits.shift.measure import ShiftMeter, deviations_above_random, stated_comparison
from mer_data.splits.shift.probes import bag_of_words_probe, cross_validated
from mer_data.splits.shift.words import NumberedWords, words_of
from mer_data.tasks import TASKS

FOLDS = ("train", "valid", "test")


def measure(pool, folds, task="binary", min_count=5, **options):
    meter = ShiftMeter(pool, TASKS[task], min_count=min_count, smoothing=1.0)
    return meter.measure(np.array(folds, dtype=str), **options)


@pytest.fixture
def folds():
    """A split other than the standard one, of other sizes."""
    return np.random.default_rng(7).choice(FOLDS, p=[0.5, 0.2, 0.3], size=300)


def test_measures_of_a_split_by_hand():
    pool = pd.DataFrame(
        {
            "id": list("12345"),
            "video_id": ["a", "a", "b", "c", "c"],
            "label": [-1.0, 1.0, 0.0, -2.0, 2.0],
            "text": ["good film", "good", "film film film", "good new", "film"],
            "fold": ["train", "train", "valid", "test", "test"],
        }
    )
    shift = measure(pool, ["train", "test", "train", "test", "valid"], min_count=2)
    assert (shift["task"], shift["min_count"], shift["smoothing"]) == ("binary", 2, 1.0)
    assert shift["num_words"] == 2
    assert shift["label_shares"]["test"] == {"negative": 0.5, "neutral": 0.0, "positive": 0.5}
    assert shift["label_shares"]["pool"] == {"negative": 0.4, "neutral": 0.2, "positive": 0.4}
    assert shift["max_label_share_deviation"] == pytest.approx(0.2)
    assert shift["words_per_utterance"] == {"train": 2.5, "valid": 1.0, "test": 1.5}
    assert shift["vocabulary"] == {
        "test_vocabulary_in_train": 0.5,  # good, not new
        "test_oov_rate": pytest.approx(1 / 3, abs=1e-6),  # one of: good, good, new
    }
    assert shift["videos"] == {"num_test": 2, "num_test_in_train_or_valid": 2}
    assert shift["near_duplicates"]["ids"] == []
    good, film = shift["top_words"]
    assert (good["word"], good["num_shifted"], good["num_rest"]) == ("good", 2, 1)
    assert good["rest_shares"] == {"negative": 1.0, "neutral": 0.0, "positive": 0.0}
    assert (film["word"], film["num_shifted"], film["num_rest"]) == ("film", 0, 3)


def test_divergences_are_those_of_the_sides_and_of_the_references(corpus, table_of, folds):
    table = table_of(corpus)
    shift = measure(corpus, folds)
    bits = shift["word_label_divergence_bits"]
    assert shift["num_words"] == len(table.words)
    assert bits["this_split"] == pytest.approx(split_divergence(table, folds == "test", 1.0), abs=1e-6)
    standard = (corpus["fold"] == "test").to_numpy()
    assert bits["standard_folds"] == pytest.approx(split_divergence(table, standard, 1.0), abs=1e-6)
    expected = random_divergence(table, int((folds == "test").sum()), 1.0)
    assert (bits["random_mean"], bits["random_std"]) == pytest.approx(expected, abs=1e-6)
    with_test = measure(corpus, folds, valid_with="test")["word_label_divergence_bits"]
    assert with_test["this_split"] == pytest.approx(split_divergence(table, folds != "train", 1.0), abs=1e-6)
    expected = random_divergence(table, int((folds != "train").sum()), 1.0)
    assert (with_test["random_mean"], with_test["random_std"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("side", ["train", "test"])
def test_validation_is_compared_with_its_own_side(corpus, table_of, folds, side):
    inside = np.isin(folds, [side, "valid"])
    table = table_of(corpus[inside].reset_index(drop=True))
    in_valid = folds[inside] == "valid"
    found = measure(corpus, folds, valid_with=side)["valid_divergence_bits"]
    mean, std = random_divergence(table, int(in_valid.sum()), 1.0)
    expected = {"this_split": split_divergence(table, in_valid, 1.0), "random_mean": mean, "random_std": std}
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("task", ["binary", "seven"])
def test_shares_lengths_vocabulary_and_videos_are_those_of_plain_loops(corpus, folds, task):
    shift = measure(corpus, folds, task)
    words = {
        fold: [words_of(text) for text in corpus["text"][folds == fold]] for fold in FOLDS
    }  # by fold, a list each
    for fold in FOLDS:
        labels = corpus["label"][folds == fold]
        names = TASKS[task].classes
        kinds = [names[i] for i in TASKS[task].class_of(labels.to_numpy())]
        shares = {name: kinds.count(name) / len(kinds) for name in names}
        assert shift["label_shares"][fold] == pytest.approx(shares, abs=1e-6)
        mean = sum(map(len, words[fold])) / len(words[fold])
        assert shift["words_per_utterance"][fold] == pytest.approx(mean, abs=1e-6)
    known = {word for row in words["train"] for word in row}
    running = [word for row in words["test"] for word in row]
    assert shift["vocabulary"]["test_oov_rate"] == pytest.approx(
        sum(word not in known for word in running) / len(running), abs=1e-6
    )
    assert shift["vocabulary"]["test_vocabulary_in_train"] == pytest.approx(
        len(set(running) & known) / len(set(running)), abs=1e-6
    )
    of_test = set(corpus["video_id"][folds == "test"])
    others = set(corpus["video_id"][folds != "test"])
    assert shift["videos"] == {
        "num_test": len(of_test),
        "num_test_in_train_or_valid": len(of_test & others),
    }


def test_top_words_are_those_that_weigh_most_with_their_shares_on_both_sides(corpus, table_of, folds):
    table = table_of(corpus)
    top = measure(corpus, folds)["top_words"]
    assert len(top) == 20
    weights = [entry["divergence_bits"] * (entry["num_shifted"] + entry["num_rest"] + 2) for entry in top]
    assert weights == sorted(weights, reverse=True)
    for entry in top:
        with_word = corpus["text"].map(lambda text, word=entry["word"]: word in text.lower().split())
        for side, chosen in (("shifted", folds == "test"), ("rest", folds != "test")):
            labels = corpus["label"][with_word & chosen]
            assert entry[f"num_{side}"] == len(labels)
            shares = [(labels < 0).mean(), (labels == 0).mean(), (labels > 0).mean()]
            assert list(entry[f"{side}_shares"].values()) == pytest.approx(shares, abs=1e-6)
    assert {entry["word"] for entry in top} <= set(table.words)


def test_near_duplicates_are_test_utterances_with_a_twin_elsewhere(corpus, folds):
    corpus["text"] = [f"W{i} A{i} B{i} C{i} D{i}" for i in range(300)]
    train, test = np.flatnonzero(folds == "train"), np.flatnonzero(folds == "test")
    corpus.loc[test[0], "text"] = corpus.loc[train[0], "text"].lower() + "!"
    corpus.loc[test[1], "text"] = corpus.loc[test[2], "text"]  # twins on one side are no leak
    found = measure(corpus, folds)["near_duplicates"]
    assert found == {"min_jaccard": 0.8, "min_words": 4, "num_test": 1, "ids": [corpus["id"][test[0]]]}


def test_probe_accuracies_are_those_of_the_probe(corpus, folds):
    words = NumberedWords.from_texts(corpus["text"])
    classes = TASKS["binary"].class_of(corpus["label"].to_numpy())
    probe = bag_of_words_probe(words, classes, TASKS["binary"])
    train, test = (np.flatnonzero(folds == fold) for fold in ("train", "test"))
    found = measure(corpus, folds)["text_probe"]
    standard = (corpus["fold"] == "train").to_numpy(), (corpus["fold"] == "test").to_numpy()
    random = []
    for seed in range(3):
        both = np.flatnonzero(random_side(300, len(train) + len(test), seed))
        in_test = random_side(len(both), len(test), seed)
        random.append(probe(both[~in_test], both[in_test]))
    assert found == {
        "model": "logistic regression on bags of words",
        "metric": "acc2",
        "cross_validated_on_train": pytest.approx(cross_validated(probe, train, classes), abs=1e-4),
        "test": pytest.approx(probe(train, test), abs=1e-4),
        "standard_folds": pytest.approx(probe(*map(np.flatnonzero, standard)), abs=1e-4),
        "random_mean": pytest.approx(np.mean(random), abs=1e-4),
        "random_std": pytest.approx(np.std(random, ddof=1), abs=1e-4),
    }
    assert measure(corpus, folds, "seven")["text_probe"]["metric"] == "acc7"


def test_what_a_split_is_compared_with_is_measured_once(corpus, folds, monkeypatch):
    calls = []

    def counting(words, classes, task):
        probe = bag_of_words_probe(words, classes, task)

        def counted(train, test):
            calls.append((len(train), len(test)))
            return probe(train, test)

        return counted

    monkeypatch.setattr("mer_data.splits.shift.measure.bag_of_words_probe", counting)
    meter = ShiftMeter(corpus, TASKS["binary"], min_count=5, smoothing=1.0)
    first = meter.measure(folds)
    assert len(calls) == 5 + 1 + 1 + 3  # folds of train, test, standard folds, random splits
    shuffled = np.random.default_rng(0).permutation(folds)
    second = meter.measure(shuffled)
    assert len(calls) == 10 + 5 + 1
    for name in ("standard_folds", "random_mean", "random_std"):
        assert first["text_probe"][name] == second["text_probe"][name]
    monkeypatch.undo()
    assert second == measure(corpus, shuffled)


def test_a_split_of_whole_videos_is_compared_with_random_choices_of_videos(corpus, table_of, folds):
    shift = measure(corpus, folds, random_units="video")
    assert shift["random_units"] == "video"
    assert stated_comparison(shift) == {"valid_with": "train", "random_units": "video"}
    videos = np.unique(corpus["video_id"], return_inverse=True)[1]
    mean, std = random_divergence(table_of(corpus), int((folds == "test").sum()), 1.0, videos)
    bits = shift["word_label_divergence_bits"]
    assert (bits["random_mean"], bits["random_std"]) == pytest.approx((mean, std), abs=1e-6)
    assert deviations_above_random(shift) == pytest.approx((bits["this_split"] - mean) / std, abs=1e-2)
    single = measure(corpus, folds)
    assert "random_units" not in single
    assert single["word_label_divergence_bits"]["this_split"] == bits["this_split"]
    assert single["text_probe"]["random_mean"] != shift["text_probe"]["random_mean"]


def test_without_a_spread_of_random_splits_nothing_is_told_in_deviations():
    bits = {"this_split": 0.1, "random_mean": 0.1, "random_std": 0.0}
    assert deviations_above_random({"word_label_divergence_bits": bits}) is None
    assert deviations_above_random({"word_label_divergence_bits": {**bits, "this_split": None}}) is None


def test_a_corpus_without_standard_folds_is_compared_with_random_splits_alone(corpus, folds):
    shift = measure(corpus.assign(fold="none"), folds)
    assert shift["word_label_divergence_bits"]["standard_folds"] is None
    assert shift["text_probe"]["standard_folds"] is None
    assert shift["text_probe"]["random_mean"] is not None


def test_without_frequent_words_the_divergence_is_null():
    pool = pd.DataFrame(
        {
            "id": list("123"),
            "video_id": list("abc"),
            "label": [1.0, 1.0, 1.0],
            "text": list("xyz"),
            "fold": ["train", "valid", "test"],
        }
    )
    shift = measure(pool, pool["fold"], min_count=10)
    assert set(shift["word_label_divergence_bits"].values()) == {None}
    assert set(shift["valid_divergence_bits"].values()) == {None}
    assert shift["text_probe"]["test"] is None
    assert shift["text_probe"]["cross_validated_on_train"] is None
    assert shift["top_words"] == []
