import numpy as np
import pandas as pd

from mer_data.utterances import UTTERANCE_COLUMNS, Ragged, UtteranceBlock, utterance_id


def test_ragged_rows_come_back():
    rows = [np.array([[1.0, 2.0]]), np.zeros((0, 2)), np.array([[3.0, 4.0], [5.0, 6.0]])]
    ragged = Ragged.from_rows(rows, np.zeros((0, 2), np.float32))
    assert len(ragged) == 3
    assert ragged.lengths.tolist() == [1, 0, 2]
    assert ragged.offsets.dtype == np.int64
    assert ragged.values.dtype == np.float32
    for index, row in enumerate(rows):
        assert ragged[index].tolist() == row.tolist()


def test_ragged_without_rows_keeps_width_and_type():
    ragged = Ragged.from_rows([], np.ones((4, 7), np.float32))
    assert len(ragged) == 0
    assert ragged.values.shape == (0, 7)
    assert ragged.values.dtype == np.float32
    assert ragged.lengths.tolist() == []


def test_rows_are_views():
    ragged = Ragged.from_rows([np.arange(3), np.arange(2)], np.empty(0, np.int64))
    ragged[1][0] = 9
    assert ragged.values.tolist() == [0, 1, 2, 9, 1]


def test_id_is_the_published_one():
    assert utterance_id("03bSnISJMiM", 10) == "03bSnISJMiM$_$10"


def test_block_counts_utterances_and_shares_nothing_with_another():
    frame = pd.DataFrame([["a"] * 8, ["b"] * 8], columns=list(UTTERANCE_COLUMNS))
    one, other = UtteranceBlock(frame, {}), UtteranceBlock(frame, {})
    one.counts["x"] = 1
    one.dropped.append("d")
    assert len(one) == 2
    assert other.counts == {}
    assert other.dropped == []
