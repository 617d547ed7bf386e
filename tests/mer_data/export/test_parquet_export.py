import numpy as np
import pyarrow.parquet as pq
import pytest
from builders import make_store
from exact_stores import split_of

from mer_data.errors import SplitError
from mer_data.export import rows as rows_module
from mer_data.export.parquet import export_parquet, words_path, written_export
from mer_data.splits import standard_split
from mer_data.store.reader import FeatureStore


def standard(store):
    return standard_split(store.utterances, dataset=store.dataset, utterance_digest=store.utterance_digest)


@pytest.mark.parametrize("group", [1, 7, 256])
@pytest.mark.parametrize("alignment", ["unaligned", "aligned"])
def test_every_utterance_and_word_is_there(sample_stores, tmp_path, alignment, group, monkeypatch):
    monkeypatch.setattr(rows_module, "GROUP", group)
    store = FeatureStore.open(sample_stores[alignment])
    split = standard(store)
    report = export_parquet(store, split, tmp_path / "x.parquet")
    table, words = pq.read_table(report.path), pq.read_table(report.words_path)
    assert report.words_path.name == "x.words.parquet"
    assert table.num_rows == sum(report.sizes.values()) == sum(map(len, split.splits.values()))
    rows = table.to_pylist()
    assert {row["id"]: row["fold"] for row in rows} == {
        name: fold for fold, names in split.splits.items() for name in names
    }
    by_id = {name: index for index, name in enumerate(store.utterances["id"])}
    spoken = {}
    for word in words.to_pylist():
        spoken.setdefault(word["id"], []).append(word)
    assert report.num_words == words.num_rows
    for row in rows:
        index = by_id[row["id"]]
        own, read = store.utterances.iloc[index], store.read([index])
        for name in ("video_id", "segment", "start_s", "end_s", "text", "label"):
            assert row[name] == own[name], name
        assert row["class_binary"] == {-1: "negative", 0: "neutral", 1: "positive"}[np.sign(own["label"])]
        assert row["class_seven"] == str(round(float(own["label"])))
        assert row["tokens"] == read.token_ids[0].tolist()
        assert row["token_words"] == read.token_words[0].tolist()
        assert row["audio"] == read.streams["audio"][0].tolist()
        assert row["vision"] == read.streams["vision"][0].tolist()
        found = spoken.get(row["id"], [])
        assert [tuple(word.values())[1:] for word in found] == [
            (position, *word) for position, word in enumerate(store.words(index).tolist())
        ]


def test_the_files_say_where_they_are_from(sample_stores, tmp_path):
    store = FeatureStore.open(sample_stores["unaligned"])
    report = export_parquet(store, standard(store), tmp_path / "x.parquet")
    for path in (report.path, report.words_path):
        metadata = pq.read_schema(path).metadata
        assert metadata[b"split"].decode() == standard(store).digest
        assert metadata[b"store"].decode() == store.content_digest
        assert metadata[b"dataset"] == b"sample"


def test_equal_input_gives_equal_bytes(sample_stores, tmp_path):
    store = FeatureStore.open(sample_stores["unaligned"])
    first, second = (export_parquet(store, standard(store), tmp_path / n / "x.parquet") for n in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.words_path.read_bytes() == second.words_path.read_bytes()


def test_pandas_reads_it_and_unknown_times_are_missing(tmp_path):
    import pandas as pd
    from exact_stores import write_store

    store = write_store(tmp_path / "s.h5", ["a b", "", "c"])
    report = export_parquet(store, split_of(store, [0, 1], [2]), tmp_path / "x.parquet")
    frame, words = pd.read_parquet(report.path), pd.read_parquet(report.words_path)
    assert frame["fold"].tolist() == ["train", "train", "valid"]
    assert np.stack(frame["audio"][1]).shape == (2, 3)
    assert words["word"].tolist() == ["a", "b", "c"]
    assert words["start_s"].isna().all()


def test_a_split_of_another_store_leaves_no_file(sample_stores, tmp_path):
    store = FeatureStore.open(sample_stores["unaligned"])
    other = make_store(tmp_path / "other")
    with pytest.raises(SplitError, match=r"made from another store"):
        export_parquet(store, standard(other), tmp_path / "out" / "x.parquet")
    assert not (tmp_path / "out").exists()


# --- files of an export before ---


@pytest.fixture
def sample_export(sample_stores, tmp_path):
    store = FeatureStore.open(sample_stores["unaligned"])
    return store, export_parquet(store, standard(store), tmp_path / "x.parquet")


def test_an_export_is_known_again(sample_export):
    store, report = sample_export
    assert written_export(store, standard(store), report.path) == report


def test_files_of_another_split_or_store_are_not(sample_export, sample_stores):
    store, report = sample_export
    other = split_of(store, [0, 1], [2], [3])
    assert written_export(store, other, report.path) is None
    aligned = FeatureStore.open(sample_stores["aligned"])
    assert written_export(aligned, standard(aligned), report.path) is None


@pytest.mark.parametrize("which", [lambda path: path, words_path], ids=["utterances", "words"])
@pytest.mark.parametrize("damage", ["gone", "cut", "foreign"])
def test_files_that_are_not_whole_are_not(sample_export, which, damage):
    store, report = sample_export
    path = which(report.path)
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    assert written_export(store, standard(store), report.path) is None
