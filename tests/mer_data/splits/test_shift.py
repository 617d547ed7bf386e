import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.splits.shift import (
    WordTable,
    measure_shift,
    random_divergence,
    split_divergence,
    weighted_divergences,
    words_of,
)
from mer_data.tasks import TASKS


def mutual_information(pairs: list[tuple[int, int]]) -> float:
    """I(side; label) in bits of the observed (side, label) pairs, from the definition."""
    n, total = len(pairs), 0.0
    for side, label in set(pairs):
        joint = pairs.count((side, label)) / n
        p_side = sum(s == side for s, _ in pairs) / n
        p_label = sum(c == label for _, c in pairs) / n
        total += joint * np.log2(joint / (p_side * p_label))
    return total


def test_words_are_lower_case_and_keep_inner_apostrophes():
    assert words_of("It's GREAT, isn’t it? 'quoted' snake_case 3D") == [
        "it's", "great", "isn’t", "it", "quoted", "snake", "case", "3d",
    ]  # fmt: skip


def test_divergence_without_smoothing_is_the_mutual_information_of_side_and_label():
    rng = np.random.default_rng(1)
    tokens = [list(rng.choice(list("abcdefg"), size=4)) for _ in range(60)]
    classes = rng.integers(0, 3, size=60)
    in_test = rng.random(60) < 0.4
    table = WordTable.build(tokens, classes, 3, min_count=1)
    expected, sightings = 0.0, 0
    for word in "abcdefg":
        pairs = [(int(in_test[i]), int(classes[i])) for i in range(60) if word in tokens[i]]
        expected += len(pairs) * mutual_information(pairs)
        sightings += len(pairs)
    assert split_divergence(table, in_test, 0.0) == pytest.approx(expected / sightings, abs=1e-12)


def test_smoothed_divergence_by_hand():
    # 3 of 4 negative in test, 1 of 4 in rest; with one pseudo-utterance of prior 1/2: p = 3.5/5 and 1.5/5.
    def entropy(p: float) -> float:
        return -p * np.log2(p) - (1 - p) * np.log2(1 - p)

    found = weighted_divergences(np.array([[3, 1]]), np.array([[4, 4]]), np.array([0.5, 0.5]), 1.0)
    assert found == pytest.approx([8 * (entropy(0.5) - entropy(0.7))])


def test_a_word_on_one_side_only_has_no_divergence():
    counts = np.array([[6, 1], [6, 1]])
    for smoothing in (0.0, 1.0):
        found = weighted_divergences(np.array([[0, 0], [6, 1]]), counts, np.array([0.4, 0.6]), smoothing)
        assert found == pytest.approx([0.0, 0.0], abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 6), min_size=1, max_size=8),
    st.floats(0, 5),
)
def test_divergence_is_bounded_and_symmetric_in_the_sides(rows, smoothing):
    cells = np.array(rows)
    cells[:, 0] += 1
    test, counts = cells[:, :3], cells[:, :3] + cells[:, 3:]
    prior = np.array([0.2, 0.3, 0.5])
    found = weighted_divergences(test, counts, prior, smoothing)
    assert (found >= 0).all()
    assert (found <= counts.sum(axis=1) + 1e-9).all()  # the side of a sighting is at most one bit
    assert found == pytest.approx(weighted_divergences(counts - test, counts, prior, smoothing), abs=1e-9)


def test_table_counts_utterances_not_occurrences():
    table = WordTable.build([["a", "a", "b"], ["a"], []], np.array([0, 1, 1]), 2, min_count=2)
    assert table.words == ["a"]
    assert table.counts.tolist() == [[1, 1]]
    assert table.counts_in(np.array([False, True, True])).tolist() == [[0, 1]]
    assert table.prior == pytest.approx([1 / 3, 2 / 3])


def test_random_divergence_is_the_mean_of_five_seeded_splits(corpus):
    tokens = [words_of(text) for text in corpus["text"]]
    table = WordTable.build(tokens, TASKS["binary"].class_of(corpus["label"].to_numpy()), 3, 10)
    mean, std = random_divergence(table, 90, 1.0)
    assert (mean, std) == random_divergence(table, 90, 1.0)
    assert 0 < std < mean < 0.1


def test_measures_of_a_split_by_hand():
    pool = pd.DataFrame(
        {
            "video_id": ["a", "a", "b", "c", "c"],
            "label": [-1.0, 1.0, 0.0, -2.0, 2.0],
            "text": ["good film", "good", "film film film", "good new", "film"],
            "fold": ["train", "train", "valid", "test", "test"],
        }
    )
    folds = np.array(["train", "test", "train", "test", "valid"])
    shift = measure_shift(pool, folds, TASKS["binary"], min_count=2, smoothing=1.0)
    assert shift["num_words"] == 2
    assert shift["label_shares"]["test"] == {"negative": 0.5, "neutral": 0.0, "positive": 0.5}
    assert shift["max_label_share_deviation"] == pytest.approx(0.2)
    assert shift["words_per_utterance"] == {"train": 2.5, "valid": 1.0, "test": 1.5}
    assert shift["test_vocabulary_in_train"] == 0.5  # good, not new
    assert shift["test_oov_rate"] == pytest.approx(1 / 3, abs=1e-6)  # one of: good, good, new
    assert (shift["num_test_videos"], shift["num_test_videos_in_train_or_valid"]) == (2, 2)
    (word,) = shift["top_words"]  # "film" lives in train and valid only: no divergence
    assert (word["word"], word["num_test"], word["num_rest"]) == ("good", 2, 1)
    assert word["rest_shares"] == {"negative": 1.0, "neutral": 0.0, "positive": 0.0}


def test_without_frequent_words_the_divergence_is_null():
    pool = pd.DataFrame(
        {
            "video_id": list("abc"),
            "label": [1.0, 1.0, 1.0],
            "text": list("xyz"),
            "fold": ["train", "valid", "test"],
        }
    )
    shift = measure_shift(
        pool, pool["fold"].to_numpy(dtype=str), TASKS["binary"], min_count=10, smoothing=1.0
    )
    assert set(shift["word_label_divergence_bits"].values()) == {None}
    assert shift["top_words"] == []
