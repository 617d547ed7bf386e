import pytest

from mer_data.errors import SplitError
from mer_data.splits import standard_split


def test_folds_are_those_of_the_column_and_the_rest_is_dropped(corpus):
    corpus.loc[[0, 299], "fold"] = "none"
    manifest = standard_split(corpus, dataset="mosi", utterance_digest="sha256:1")
    assert (manifest.kind, manifest.task) == ("standard", "any")
    for fold, ids in manifest.splits.items():
        assert ids == tuple(sorted(corpus.loc[corpus["fold"] == fold, "id"]))
    assert [drop.id for drop in manifest.dropped] == sorted(corpus.loc[[0, 299], "id"])
    assert {drop.reason for drop in manifest.dropped} == {"in no standard fold"}
    bits = manifest.shift["word_label_divergence_bits"]
    assert bits["this_split"] == bits["standard_folds"]


def test_a_corpus_without_frequent_words_still_has_standard_folds(corpus_maker, tmp_path):
    manifest = standard_split(corpus_maker(12), dataset="mosi", utterance_digest="sha256:1")
    manifest.save(tmp_path / "standard.json")
    assert manifest.shift["word_label_divergence_bits"]["this_split"] is None


def test_an_empty_fold_is_refused(corpus):
    corpus.loc[corpus["fold"] == "valid", "fold"] = "none"
    with pytest.raises(SplitError, match='standard fold "valid" is empty'):
        standard_split(corpus, dataset="mosi", utterance_digest="sha256:1")


def test_an_unknown_fold_and_a_repeated_id_are_refused(corpus):
    other = corpus.assign(fold=corpus["fold"].replace("valid", "dev"))
    with pytest.raises(SplitError, match="unknown fold: found 'dev', expected train, valid, test, none"):
        standard_split(other, dataset="mosi", utterance_digest="sha256:1")
    corpus.loc[1, "id"] = corpus.loc[0, "id"]
    with pytest.raises(SplitError, match=r"utterance v000\$_\$1 occurs twice in train and train"):
        standard_split(corpus, dataset="mosi", utterance_digest="sha256:1")
