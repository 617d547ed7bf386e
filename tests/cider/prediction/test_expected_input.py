from dataclasses import replace

import pytest

from cider.prediction.expected_input import ExpectedInput
from mer_data.errors import StoreError
from mer_data.store.reader import FeatureStore


@pytest.fixture
def store(home):
    return FeatureStore.open(home / "sample" / "store" / "unaligned.h5")


@pytest.fixture
def expected(store):
    return ExpectedInput.from_store(store)


def test_the_store_of_training_fits(store, expected):
    assert expected.check(store) == []
    expected.check_same(store)


def test_another_vocabulary_names_what_makes_the_right_one(store, expected):
    other = replace(expected, vocabulary_digest="sha256:other")
    with pytest.raises(
        StoreError, match=r"another tokenizer vocabulary .*expected 'tiny' \(sha256:other\)\. .*RUN"
    ):
        other.check(store)
    with pytest.raises(StoreError, match=r"Build one with --tokenizer bert-base-uncased"):
        replace(other, tokenizer="bert-base-uncased").check_same(store)


def test_other_names_are_a_note_for_predictions_and_an_error_for_scores(store, expected):
    first, *rest = expected.columns["vision"]
    other = replace(expected, columns={**expected.columns, "vision": ("smile", *rest)})
    told = f"vision columns have other names than in training: {first} in place of smile"
    assert other.check(store) == [told]
    with pytest.raises(StoreError, match=f"{told} in .*Build one from the same feature columns"):
        other.check_same(store)


def test_frame_rates_of_aligned_stores_do_not_matter(home):
    aligned = FeatureStore.open(home / "sample" / "store" / "aligned.h5")
    expected = ExpectedInput.from_store(aligned)
    replace(expected, frame_rate_hz=dict.fromkeys(expected.frame_rate_hz, 1.0)).check_same(aligned)
