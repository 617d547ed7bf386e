"""A store, a split and their facts."""

import pytest
from described_stores import described_store
from exact_stores import split_of

from mer_data.export.facts import collect_facts
from mer_data.store.reader import FeatureStore


@pytest.fixture
def sample_store(sample_stores):
    return FeatureStore.open(sample_stores["unaligned"])


@pytest.fixture
def small_store(tmp_path):
    """Six utterances, one without text, one without audio."""
    labels = [1.0, -2.0, 0.0, -0.4, 2.4, 0.0]
    texts = ["good film", "bad plot indeed", "it was", "", "fine music there", "so so"]
    (tmp_path / "store").mkdir()
    return described_store(tmp_path / "store" / "small.h5", texts, labels, audio=[1, 0, 3, 4, 5, 6])


@pytest.fixture
def small_split(small_store):
    """The fifth utterance is in no fold."""
    return split_of(small_store, [0, 2, 3], [1], [5])


@pytest.fixture
def small_facts(small_store, small_split):
    return collect_facts(small_store, small_split, "by_hand")
