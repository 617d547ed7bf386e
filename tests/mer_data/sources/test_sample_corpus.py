import json

import numpy as np
import pytest
from builders import files_below

from mer_data.build import build_store
from mer_data.sources import open_source
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.sources.sample import (
    _NEGATIVE,
    _POSITIVE,
    _SPURIOUS_NEGATIVE,
    _SPURIOUS_POSITIVE,
    SampleSize,
    write_sample,
)
from mer_data.store.reader import FeatureStore


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The sample in its full size, as a folder and as an unaligned store."""
    folder = tmp_path_factory.mktemp("full")
    write_sample(folder / "raw", 0)
    build_store(open_source("sample", folder / "raw"), folder / "s.h5", alignment="unaligned")
    return folder / "raw", FeatureStore.open(folder / "s.h5")


def segments_of(folder):
    labels = ComputationalSequence(folder / "sample_labels.csd")
    return {video: labels.read(video)[1] for video in labels.videos}


def test_equal_seeds_give_equal_files_and_others_do_not(tmp_path):
    size = SampleSize(num_videos=2, segments_per_video=4)
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        paths = write_sample(tmp_path / name, seed, size)
        assert sorted(path.name for path in paths) == files_below(tmp_path / name)
    for name in files_below(tmp_path / "a"):
        same = (tmp_path / "a" / name).read_bytes()
        assert (tmp_path / "b" / name).read_bytes() == same
        assert ((tmp_path / "c" / name).read_bytes() == same) == (name == "folds.json")


def test_size_is_as_asked_for(tmp_path):
    write_sample(tmp_path, 0, SampleSize(num_videos=5, segments_per_video=7))
    assert [len(times) for times in segments_of(tmp_path).values()] == [7] * 5


def test_folds_are_whole_videos(corpus):
    folds = json.loads((corpus[0] / "folds.json").read_text())
    assert {fold: len(videos) for fold, videos in folds.items()} == {"train": 12, "valid": 3, "test": 5}
    assert corpus[1].utterances["fold"].value_counts().to_dict() == {"train": 288, "valid": 72, "test": 120}


def test_some_segments_overlap(corpus):
    overlaps = 0
    for times in segments_of(corpus[0]).values():
        ordered = times[np.argsort(times[:, 0])]
        overlaps += int((ordered[1:, 0] < ordered[:-1, 1]).sum())
    assert overlaps > 10


def test_one_segment_has_no_length_and_one_video_is_out_of_time_order(corpus):
    segments = segments_of(corpus[0])
    assert sum(int((times[:, 0] == times[:, 1]).sum()) for times in segments.values()) == 1
    assert sum(bool((np.diff(times[:, 0]) < 0).any()) for times in segments.values()) == 1


def test_some_audio_frames_are_minus_infinity(corpus):
    tone = ComputationalSequence(corpus[0] / "sample_tone.csd")
    bad = np.concatenate([tone.read(video)[0] for video in tone.videos])
    assert 0.0005 < np.isneginf(bad).mean() < 0.01
    assert corpus[1].attribute("cleaning")["audio_values_not_finite"] > 0


def test_all_classes_occur_in_every_fold(corpus):
    utterances = corpus[1].utterances
    signs = utterances.groupby("fold")["label"].agg(lambda labels: len(set(np.sign(labels))))
    assert signs.to_dict() == {"train": 3, "valid": 3, "test": 3}
    assert utterances["label"].between(-3, 3).all()


@pytest.mark.parametrize("modality", ["audio", "vision"])
def test_frames_carry_signal(corpus, modality):
    store = corpus[1]
    rows = store.read(range(len(store))).streams[modality]
    some = np.flatnonzero(rows.lengths)
    means = np.stack([rows[i].mean(axis=0) for i in some])
    labels = store.utterances["label"].to_numpy()[some]
    strongest = max(abs(np.corrcoef(column, labels)[0, 1]) for column in means.T)
    assert strongest > 0.4


def word_balance(store, plus, minus):
    texts = [text.split() for text in store.utterances["text"]]
    return np.array([sum(w in plus for w in t) - sum(w in minus for w in t) for t in texts])


def test_opinion_words_carry_signal_and_spurious_words_are_tied_to_the_label(corpus):
    store = corpus[1]
    labels = store.utterances["label"].to_numpy()
    opinion = np.corrcoef(word_balance(store, _POSITIVE, _NEGATIVE), labels)[0, 1]
    spurious = np.corrcoef(word_balance(store, _SPURIOUS_POSITIVE, _SPURIOUS_NEGATIVE), labels)[0, 1]
    assert opinion > 0.6
    assert 0.15 < spurious < 0.6


def test_no_silence_marker_is_left_in_a_text(corpus):
    assert corpus[1].attribute("cleaning")["silence_markers_removed"] > 0
    assert not any("sp" in text.split() for text in corpus[1].utterances["text"])
