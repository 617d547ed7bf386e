import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.splits.shift.duplicates import MIN_WORDS, THRESHOLD, near_duplicates
from mer_data.splits.shift.words import NumberedWords

SENTENCES = st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=12), min_size=2, max_size=14)


def found(tokens, among, others):
    """Rows of ``among`` with a near-duplicate in ``others``."""
    rows = (np.array(rows, dtype=np.int64) for rows in (among, others))
    return near_duplicates(NumberedWords.from_rows(tokens), *rows).tolist()


def by_brute_force(tokens, among, others):
    near = []
    for row in among:
        one = set(tokens[row])
        for other in (set(tokens[other]) for other in others):
            enough = min(len(one), len(other)) >= MIN_WORDS
            if enough and len(one & other) / len(one | other) >= THRESHOLD:
                near.append(row)
                break
    return near


@settings(max_examples=300)
@given(SENTENCES, st.data())
def test_it_finds_what_comparing_all_pairs_finds(tokens, data):
    in_among = data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens)))
    among = [row for row, chosen in enumerate(in_among) if chosen]
    others = [row for row, chosen in enumerate(in_among) if not chosen]
    assert found(tokens, among, others) == by_brute_force(tokens, among, others)


def test_sentences_that_differ_by_one_word_of_ten_are_near_and_by_two_of_five_are_not():
    long, short = list("abcdefghij"), list("abcde")
    tokens = [long, [*long[:9], "x"], short, [*short[:3], "y", "z"], list("abc"), list("abc")]
    assert found(tokens, [0], [1]) == [0]
    assert found(tokens, [2], [3]) == []
    assert found(tokens, [4], [5]) == []  # too short to be a leak
    assert found(tokens, [], [0]) == found(tokens, [0], []) == []


def test_order_and_repetition_of_words_do_not_matter():
    assert found([list("abcd"), list("ddcbaa")], [0], [1]) == [0]


@pytest.mark.parametrize("size", range(4, 60))
def test_two_sets_at_the_threshold_share_one_of_their_rarest_words(size):
    """The words that are compared are enough at every length, also where 0.8 n is no exact float."""
    overlap = math.ceil(THRESHOLD * size - 1e-9)
    longer = [f"w{i:03d}" for i in range(size)]
    for shorter in (longer[:overlap], longer[size - overlap :]):
        expected = [1] if len(shorter) >= MIN_WORDS else []
        assert found([longer, shorter], [1], [0]) == expected
