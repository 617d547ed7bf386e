"""A store, a split, statistics or an utterance at a glance."""

import json
import shutil

import h5py
import numpy as np
import pytest

from mer_data.errors import MerDataError, StoreError, WorkspaceError
from mer_data.inspect import describe, summarise, summarise_utterance, time_line
from mer_data.splits import standard_split
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS


@pytest.fixture
def store(sample_stores):
    opened = FeatureStore.open(sample_stores["unaligned"])
    yield opened
    opened.close()


@pytest.fixture
def split(store):
    return standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)


def test_a_store_is_counted(store):
    summary = summarise(store.path)
    utterances = store.utterances
    assert json.loads(json.dumps(summary)) == summary
    assert summary["num_videos"] == 8
    assert summary["num_columns"] == {"audio": 6, "vision": 8}
    assert summary["vocabulary_size"] == len(store.tokenizer.vocabulary)
    assert summary["content_digest"] == store.content_digest
    assert summary["num_bytes"] == store.path.stat().st_size
    seconds = utterances["end_s"] - utterances["start_s"]
    assert summary["duration_s"] == pytest.approx(seconds.sum(), abs=1e-3)
    test = utterances[utterances["fold"] == "test"]["label"]
    assert summary["counts"]["binary"]["test"] == {
        "negative": int((test < 0).sum()),
        "neutral": int((test == 0).sum()),
        "positive": int((test > 0).sum()),
    }
    assert sum(sum(row.values()) for row in summary["counts"]["seven"].values()) == 48


def test_lengths_are_quantiles_of_what_is_there(store):
    lengths = summarise(store.path)["lengths"]
    words = np.sort(store.lengths("words"))
    assert (lengths["words"]["min"], lengths["words"]["max"]) == (words[0], words[-1])
    assert lengths["words"]["50%"] in words
    assert lengths["seconds"]["min"] == 0  # the segment without length
    assert list(lengths) == ["words", "pieces", "audio", "vision", "seconds"]


def test_a_store_is_described(store):
    text = "\n".join(describe(summarise(store.path)))
    assert "tokenizer tiny" in text
    assert "audio   tone, 6 columns" in text
    assert "binary  all  negative  neutral  positive" in text
    assert "length   min" in text
    assert "zero length segments: 1" in text
    assert store.utterance_digest in text


def test_an_aligned_store_has_no_frame_rate(sample_stores):
    assert "one frame per word piece" in "\n".join(describe(summarise(sample_stores["aligned"])))


def test_a_store_without_times_and_with_drops_is_described(store, tmp_path):
    path = shutil.copy(store.path, tmp_path / "timeless.h5")
    dropped = b'[{"id": "a$_$1", "reason": "no video"}]'
    with h5py.File(path, "r+") as file:
        file["utterances/start_s"][:] = np.nan
        file["words/times"][:] = np.nan
        del file["dropped_json"]
        file["dropped_json"] = np.frombuffer(dropped, np.uint8)
    summary = summarise(path)
    assert (summary["duration_s"], summary["lengths"]["seconds"]) == (None, None)
    assert summary["dropped"] == [{"id": "a$_$1", "reason": "no video"}]
    text = "\n".join(describe(summary))
    assert "no times" in text
    assert "dropped a$_$1: no video" in text
    lines = describe(summarise_utterance(path, "sample000$_$1"))
    assert "no times" in lines[0]
    assert "█" not in "".join(lines)


def test_a_split_is_described(split, tmp_path):
    split.save(tmp_path / "standard.json")
    summary = summarise(tmp_path / "standard.json")
    assert summary["sizes"] == {fold: len(ids) for fold, ids in split.splits.items()}
    assert summary["digest"] == split.digest
    text = "\n".join(describe(summary))
    assert "sample, standard split, task any: 30 / 6 / 12 (train / valid / test), 0 dropped" in text
    assert "made by standard_folds" in text
    assert f"this_split {split.shift['word_label_divergence_bits']['this_split']}" in text
    assert split.digest in text


def test_statistics_and_a_vocabulary_are_described(store, split, tmp_path):
    means = {"text": np.ones((3, 16)), "audio": np.ones((3, 6)), "vision": np.ones((3, 8))}
    used = dict.fromkeys(means, np.array([3, 1, 4]))
    counts = np.array([3, 1, 4])
    ClassStatistics("binary", counts, means, used, {"split": split.digest}).save(tmp_path / "s.h5")
    summary = summarise(tmp_path / "s.h5")
    assert summary["priors"] == {"negative": 0.375, "neutral": 0.125, "positive": 0.5}
    text = "\n".join(describe(summary))
    assert "text 16, audio 6, vision 8" in text
    assert split.digest in text
    counterfactual_vocabulary(store, split, TASKS["binary"], size=7).save(tmp_path / "v.csv")
    summary = summarise(tmp_path / "v.json")
    assert len(summary["tokens"]) == 7
    assert "task binary: 7 tokens" in describe(summary)[0]


def test_an_utterance_is_shown_with_its_words(store):
    summary = summarise_utterance(store.path, "sample001$_$2")
    row = store.utterances["id"].tolist().index("sample001$_$2")
    values = store.utterances.iloc[row]
    assert summary["text"] == values["text"] == " ".join(word["token"] for word in summary["words"])
    assert summary["num_frames"] == {m: store.lengths(m)[row] for m in ("audio", "vision")}
    assert summary["pieces"][0] == "[CLS]"
    lines = describe(summary)
    assert len([line for line in lines if "█" in line]) == len(summary["words"])
    assert json.loads(json.dumps(summary)) == summary


def test_an_utterance_without_words_is_shown(store):
    assert "0 words, 2 word pieces" in describe(summarise_utterance(store.path, "sample000$_$6"))[-2]


def word(token, start, end):
    return {"token": token, "start_s": start, "end_s": end}


def bar(line):
    return line.split("|")[1]


def test_bars_stand_where_the_words_are():
    first, second, point = time_line(
        [word("a", 2.0, 3.0), word("b", 3.0, 4.0), word("c", 4.0, 4.0)], 2.0, 4.0
    )
    assert bar(first) == "█" * 24 + " " * 24
    assert bar(second) == " " * 24 + "█" * 24
    assert bar(point) == " " * 47 + "█"
    assert first == f"    2.00     3.00 |{bar(first)}| a"


def test_the_line_reaches_to_words_outside_and_a_segment_may_have_no_length():
    early, late = time_line([word("a", 1.0, 2.0), word("b", 4.0, 5.0)], 2.0, 3.0)
    assert (bar(early), bar(late)) == ("█" * 12 + " " * 36, " " * 36 + "█" * 12)
    (line,) = time_line([word("a", 2.0, 2.0)], 2.0, 2.0)
    assert bar(line).strip() == "█"
    assert time_line([], None, None) == []


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("sample001$_$4x", "sample001$_$4"),
        ("sample01$_$4", "sample001$_$4"),
        ("sample001$_$60", "sample001$_$6, sample001$_$5, sample001$_$4"),
    ],
)
def test_an_unknown_id_lists_the_nearest(store, name, nearest):
    with pytest.raises(StoreError, match=r"The nearest are .*") as caught:
        summarise_utterance(store.path, name)
    assert nearest in str(caught.value)


def test_folders_and_foreign_files_are_refused(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(WorkspaceError, match="is a folder"):
        summarise(tmp_path)
    with pytest.raises(WorkspaceError, match="is not there"):
        summarise(tmp_path / "absent")
    with pytest.raises(WorkspaceError, match="is nothing that mer-data makes"):
        summarise(tmp_path / "x.txt")


@pytest.mark.parametrize("name", ["dropped_json", "audio", "utterances/label"])
def test_a_damaged_store_is_one_line_that_names_a_command(store, tmp_path, name):
    path = shutil.copy(store.path, tmp_path / "damaged.h5")
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(MerDataError, match=r"`mer-data (verify|build --force)"):
        summarise(path)


def test_real_mosi_at_a_glance(mosi_stores):
    summary = summarise(mosi_stores["csd"].path)
    assert summary["num_utterances"] == 2199
    folds = {fold: sum(classes.values()) for fold, classes in summary["counts"]["binary"].items()}
    assert folds == {"train": 1284, "valid": 229, "test": 686}
    assert describe(summary)[0].startswith("mosi, unaligned: 2199 utterances of 93 videos, 2:35 h")
