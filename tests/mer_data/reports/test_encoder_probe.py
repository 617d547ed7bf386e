import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mer_data.errors import StatisticsError
from mer_data.reports.encoder_probe import EncoderProbe, sentence_embeddings
from mer_data.splits.shift.divergence import random_side
from mer_data.splits.shift.measure import PROBE_SEEDS
from mer_data.statistics.text_features import utterance_means
from mer_data.tasks import get_task
from mer_data.text.encoder import load_text_encoder

BINARY = get_task("binary")


@pytest.fixture(scope="module")
def probe(store):
    return EncoderProbe(store, "tiny")


def test_embeddings_are_the_means_that_statistics_take(store):
    seen = []
    embeddings = sentence_embeddings(store, "tiny", lambda done, total: seen.append((done, total)))
    encoder = load_text_encoder("tiny", store.tokenizer)
    means, _ = utterance_means(store, np.arange(len(store)), encoder)
    np.testing.assert_allclose(embeddings, means["text"], atol=1e-5)
    assert seen[-1] == (len(store), len(store))


def test_long_texts_are_cut_as_a_model_is_served(tmp_path):
    from exact_stores import write_store

    texts = ["a b c d e f g h", "a b c d e f g i", "", "a b"]
    store = write_store(tmp_path / "s.h5", texts, limits={"text": 6})
    embeddings = sentence_embeddings(store, "tiny")
    np.testing.assert_array_equal(embeddings[0], embeddings[1])
    assert not np.array_equal(embeddings[0], embeddings[3])
    encoder = load_text_encoder("tiny", store.tokenizer)
    means, _ = utterance_means(store, np.arange(4), encoder)
    np.testing.assert_allclose(embeddings, means["text"], atol=1e-5)


def accuracy(store, embeddings, train, test):
    """Logistic regression on unit vectors of the utterances that are not neutral."""
    signs = np.sign(store.utterances["label"].to_numpy())
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    train, test = (rows[signs[rows] != 0] for rows in (train, test))
    model = LogisticRegression(max_iter=1000).fit(unit[train], signs[train])
    return float((model.predict(unit[test]) == signs[test]).mean())


def test_scores_are_those_of_a_logistic_regression(store, splits, probe):
    embeddings = sentence_embeddings(store, "tiny")
    manifest = splits[1].manifest
    rows = manifest.indices(store.utterances["id"])
    scores = probe.scores(manifest, BINARY)
    assert scores.value == pytest.approx(accuracy(store, embeddings, rows["train"], rows["test"]))
    folds = store.utterances["fold"].to_numpy()
    standard = [np.flatnonzero(folds == fold) for fold in ("train", "test")]
    assert scores.standard == pytest.approx(accuracy(store, embeddings, *standard))
    values = []
    num_train, num_test = len(rows["train"]), len(rows["test"])
    for seed in PROBE_SEEDS:
        both = np.flatnonzero(random_side(len(store), num_train + num_test, seed))
        test = random_side(len(both), num_test, seed)
        values.append(accuracy(store, embeddings, both[~test], both[test]))
    assert scores.random_mean == pytest.approx(np.mean(values))
    assert scores.random_std == pytest.approx(np.std(values, ddof=1))


def test_a_store_without_standard_folds_has_no_score_on_them(tmp_path):
    from exact_stores import split_of, write_store

    store = write_store(tmp_path / "s.h5", ["a b", "c d"] * 4, [1.0, -1.0] * 4, folds="none")
    scores = EncoderProbe(store, "tiny").scores(split_of(store, [0, 1, 2, 3], [4], [5, 6]), BINARY)
    assert scores.standard is None
    assert scores.value == 1.0


def test_an_unknown_encoder_is_refused(store, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StatisticsError, match="cannot load text encoder 'nosuch'"):
        EncoderProbe(store, "nosuch")
    with pytest.raises(StatisticsError, match="reads another vocabulary than the store's tokenizer 'tiny'"):
        EncoderProbe(store, "minilm")
