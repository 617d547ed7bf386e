import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mer_data.splits.shift.words import NumberedWords, WordTable, words_of


def test_words_are_lower_case_and_keep_inner_apostrophes():
    assert words_of("It's GREAT, isn’t it? 'quoted' snake_case 3D") == [
        "it's", "great", "isn’t", "it", "quoted", "snake", "case", "3d",
    ]  # fmt: skip
    assert words_of("... - _ '") == []


@given(st.lists(st.lists(st.sampled_from(["a", "b", "it's", "é", "z"]), max_size=6), max_size=8), st.data())
def test_numbers_stand_for_the_words_of_every_text_and_of_any_choice_of_them(rows, data):
    words = NumberedWords.from_rows(rows)
    assert words.vocabulary == sorted({word for row in rows for word in row})
    names = np.array(words.vocabulary, dtype=object)
    assert [names[words.running[i]].tolist() for i in range(len(rows))] == rows
    assert [names[words.distinct[i]].tolist() for i in range(len(rows))] == [sorted(set(row)) for row in rows]
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10)) if rows else []
    taken = words.running.take(np.array(chosen, dtype=np.int64))
    assert [names[taken[i]].tolist() for i in range(len(chosen))] == [rows[i] for i in chosen]


def test_table_counts_utterances_not_occurrences():
    table = WordTable.build(
        NumberedWords.from_rows([["a", "a", "b"], ["a"], []]), np.array([0, 1, 1]), 2, min_count=2
    )
    assert table.words == ["a"]
    assert table.counts.tolist() == [[1, 1]]
    assert table.prior.tolist() == [1 / 3, 2 / 3]
    assert table.counts_in(np.array([False, True, True])).tolist() == [[0, 1]]


def test_counts_of_a_side_are_those_of_a_plain_loop(corpus, table_of):
    table = table_of(corpus, min_count=3)
    chosen = np.random.default_rng(0).random(len(corpus)) < 0.4
    expected = np.zeros((len(table.words), 3), dtype=np.int64)
    for i in np.flatnonzero(chosen):
        for word in set(corpus["text"][i].lower().split()) & set(table.words):
            expected[table.words.index(word), table.classes[i]] += 1
    assert np.array_equal(table.counts_in(chosen), expected)
    assert np.array_equal(table.counts_in(chosen) + table.counts_in(~chosen), table.counts)
    assert table.counts.sum(axis=1).min() >= 3


def test_a_table_without_frequent_words_is_empty():
    table = WordTable.build(NumberedWords.from_rows([["a"], []]), np.array([0, 1]), 2, min_count=2)
    assert table.words == []
    assert table.counts.shape == (0, 2)
    assert table.counts_in(np.array([True, False])).shape == (0, 2)
