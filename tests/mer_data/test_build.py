import json

import numpy as np
import pytest
from builders import (
    counting_frames,
    files_below,
    make_csd_folder,
    make_store,
    make_tokenizer_folder,
    make_words,
    open_csd,
    small_corpus,
    with_video,
    write_csd,
)

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.files.writing import sha256_file
from mer_data.sources import open_source
from mer_data.sources.catalogue import FeatureSet
from mer_data.store.reader import FeatureStore


def row_of(store, name):
    return store.utterances["id"].tolist().index(name)


# --- unaligned ---


def test_frames_are_averaged_to_the_rate_of_the_manifest(tmp_path):
    store = make_store(tmp_path)
    audio = store.read([0]).streams["audio"][0]
    # 50 Hz to 12.5 Hz is four frames a bin; the second has 12 bins, and the last takes what is left.
    expected = [np.arange(4 * b, 4 * b + 4).mean() for b in range(11)] + [np.arange(44, 50).mean()]
    np.testing.assert_allclose(audio[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(audio[:, 2], np.array(expected) + 2000, rtol=1e-6)
    vision = store.read([0]).streams["vision"][0]
    np.testing.assert_allclose(vision[:, 0], [np.arange(2 * b, 2 * b + 2).mean() for b in range(15)])


def test_frames_of_a_word_over_the_border_do_not_enter_an_unaligned_row(tmp_path):
    words = [("good", 0.2, 1.1), ("plot", 1.3, 1.5)]
    plain, crossing = make_store(tmp_path / "a"), make_store(tmp_path / "b", with_video(words=words))
    np.testing.assert_array_equal(plain.read([0]).streams["audio"][0], crossing.read([0]).streams["audio"][0])


def test_a_set_without_a_rate_keeps_its_frames(tmp_path):
    level = FeatureSet(role="audio", name="whole", roots=("Whole",), level="utterance")
    folder = make_csd_folder(tmp_path / "raw")
    (folder / "tone.csd").unlink()
    times = [(0.0, 1.0), (1.25, 2.25)]
    write_csd(folder / "whole.csd", "Whole", {"va": ([[5.0], [6.0]], times)})
    source = open_csd(folder, features=(level,))
    for alignment in ("unaligned", "aligned"):
        build_store(source, tmp_path / f"{alignment}.h5", alignment=alignment)
    rows = FeatureStore.open(tmp_path / "unaligned.h5").read([0, 1, 2]).streams["audio"]
    assert [rows[i].tolist() for i in range(3)] == [[[5.0]], [[6.0]], []]
    rows = FeatureStore.open(tmp_path / "aligned.h5").read([0, 1]).streams["audio"]
    assert rows[0].ravel().tolist() == [0, 5, 5, 0]
    assert rows[1].ravel().tolist() == [0, 6, 6, 6, 0]


# --- aligned ---


def test_each_word_piece_has_its_words_mean_and_special_tokens_zeros(tmp_path):
    make_tokenizer_folder(tmp_path / "letters", ["good p l o t i n d e b a"])
    build_store(
        open_source("sample", make_csd_folder(tmp_path / "raw")),
        tmp_path / "s.h5",
        alignment="aligned",
        tokenizer=str(tmp_path / "letters"),
    )
    store = FeatureStore.open(tmp_path / "s.h5")
    rows = store.read([1])
    pieces = [store.tokenizer.vocabulary[i] for i in rows.token_ids[0]]
    expected_words = [-1, 0, 0, 0, 1, 1, 1, 1, *[2] * 6, -1]
    assert pieces[1:8] == ["b", "##a", "##d", "p", "##l", "##o", "##t"]
    assert rows.token_words[0].tolist() == expected_words
    # Words of 1/3 s from 1.25 s on, over frames of 0.02 s: those that share more than nothing with the word.
    starts = [1.25 + w / 3 for w in range(4)]
    means = []
    for w in range(3):
        inside = [f for f in range(150) if min((f + 1) / 50, starts[w + 1]) - max(f / 50, starts[w]) > 1e-4]
        means.append(np.mean(inside))
    expected = [0.0 if word < 0 else means[word] for word in expected_words]
    audio = rows.streams["audio"][0]
    np.testing.assert_allclose(audio[:, 0], expected, rtol=1e-6)
    assert audio[[0, -1]].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert rows.streams["vision"].lengths.tolist() == rows.token_ids.lengths.tolist()


def test_words_that_the_text_has_and_the_times_lack_get_zeros(tmp_path):
    folder = make_csd_folder(
        tmp_path / "raw", transcripts={"va_1": "Good old FILM", "va_2": "bad plot indeed"}
    )
    report = build_store(
        open_csd(folder, transcripts="transcripts.csv"), tmp_path / "s.h5", alignment="aligned"
    )
    rows = FeatureStore.open(report.path).read([0])
    assert rows.token_words[0].tolist() == [-1, 0, -1, 1, -1]
    audio = rows.streams["audio"][0][:, 0]
    np.testing.assert_allclose(audio, [0, np.arange(25).mean(), 0, np.arange(25, 50).mean(), 0])
    assert report.cleaning["pieces_without_timed_word"] == 1
    assert report.cleaning["utterances_without_transcript"] == 4


def test_word_level_means_use_the_whole_word_over_the_border(tmp_path):
    words = [("good", 0.9, 1.1), ("plot", 1.3, 1.5)]
    store = make_store(
        tmp_path, with_video(segments=[(0.0, 1.02), (1.25, 2.25)], words=words), alignment="aligned"
    )
    audio = store.read([0]).streams["audio"][0][:, 0]
    np.testing.assert_allclose(audio, [0, np.arange(45, 55).mean(), 0])


# --- both ---


def test_aligned_and_unaligned_stores_of_one_corpus_share_their_utterances(sample_stores):
    aligned, unaligned = (FeatureStore.open(sample_stores[name]) for name in ("aligned", "unaligned"))
    assert aligned.utterance_digest == unaligned.utterance_digest
    assert aligned.content_digest != unaligned.content_digest
    assert aligned.utterances.equals(unaligned.utterances)
    tokens = [store.read_tokens(range(len(store))) for store in (aligned, unaligned)]
    np.testing.assert_array_equal(tokens[0].values, tokens[1].values)
    np.testing.assert_array_equal(aligned.lengths("audio"), aligned.lengths("tokens"))


@pytest.mark.parametrize("alignment", ["aligned", "unaligned"])
def test_equal_input_gives_equal_digests(sample_folder, sample_stores, tmp_path, alignment):
    build_store(open_source("sample", sample_folder), tmp_path / "again.h5", alignment=alignment)
    first, again = FeatureStore.open(sample_stores[alignment]), FeatureStore.open(tmp_path / "again.h5")
    assert again.content_digest == first.content_digest
    assert again.utterance_digest == first.utterance_digest


@pytest.mark.parametrize(
    ("change", "utterances_differ"),
    [
        ({"labels": [1.0, -1.8]}, True),
        ({"words": make_words("good movie", 0, 1) + make_words("bad plot indeed", 1.25, 2.25)}, True),
        ({"audio": counting_frames(149, 50.0, 3)}, False),
        ({"segments": [(0.0, 1.0), (1.25, 2.24)]}, False),
    ],
)
def test_digests_follow_the_content(tmp_path, change, utterances_differ):
    first, other = make_store(tmp_path / "a"), make_store(tmp_path / "b", with_video(**change))
    assert first.content_digest != other.content_digest
    assert (first.utterance_digest != other.utterance_digest) == utterances_differ


def test_frames_that_are_not_finite_become_zero_and_are_counted(tmp_path):
    values, times = counting_frames(150, 50.0, 3)
    values[0:4, 1] = [-np.inf, np.inf, np.nan, 1006.0]
    folder = make_csd_folder(tmp_path / "raw", with_video(audio=(values, times)))
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="unaligned")
    assert report.cleaning["audio_values_not_finite"] == 3
    assert report.cleaning["vision_values_not_finite"] == 0
    audio = FeatureStore.open(report.path).read(range(6)).streams["audio"]
    assert np.isfinite(audio.values).all()
    np.testing.assert_allclose(audio[0][0], [1.5, 1006 / 4, 2001.5])


def test_what_was_met_is_counted(tmp_path):
    corpus = with_video(
        labels=[1.0, -2.0, 0.5, 0.0],
        segments=[(0.0, 1.0), (1.25, 2.25), (2.5, 2.5), (4.0, 3.0)],
        words=[*make_words("good film", 0, 1), ("sp", 1.3, 1.4), ("x", 9.0, 9.1)],
        vision=None,
    )
    folds = {"train": ["va"], "valid": ["vb"], "test": []}
    folder = make_csd_folder(tmp_path / "raw", corpus, folds=folds)
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="unaligned")
    assert {name: count for name, count in report.cleaning.items() if count} == {
        "silence_markers_removed": 1,
        "words_outside_all_segments": 1,
        "utterances_with_the_words_of_their_text": 5,
        "utterances_without_words": 2,
        "utterances_without_text": 2,
        "zero_length_segments": 1,
        "utterances_without_audio": 1,
        "utterances_without_vision": 3,
        "utterances_in_no_fold": 2,
    }
    assert report.num_utterances == 7
    assert [drop.id for drop in report.dropped] == ["va$_$4"]
    store = FeatureStore.open(report.path)
    assert store.attribute("cleaning") == report.cleaning
    assert store.read_tokens([1])[0].tolist() == [2, 3]  # [CLS] [SEP] alone


def test_an_aligned_store_counts_words_and_utterances_without_frames(tmp_path):
    folder = make_csd_folder(tmp_path / "raw", with_video(audio=counting_frames(70, 50.0, 3)))
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="aligned")
    assert report.cleaning["words_without_audio"] == 2  # frames end at 1.4 s, in the first of three words
    assert report.cleaning["utterances_without_audio"] == 0
    assert report.cleaning["utterances_without_vision"] == 0
    folder = make_csd_folder(tmp_path / "raw", with_video(audio=counting_frames(50, 50.0, 3)))
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="aligned")
    assert report.cleaning["utterances_without_audio"] == 1


def test_rows_longer_than_a_model_is_served_are_kept_and_counted(tmp_path):
    text = " ".join("w" for _ in range(60))
    corpus = with_video(segments=[(0.0, 9.0)], labels=[1.0], words=make_words(text, 0, 9))
    corpus["va"].audio = counting_frames(450, 50.0, 3)
    folder = make_csd_folder(tmp_path / "raw", corpus)
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="unaligned")
    assert report.cleaning["utterances_longer_than_text_limit"] == 1
    assert report.cleaning["utterances_longer_than_audio_limit"] == 1
    store = FeatureStore.open(report.path)
    assert store.lengths("tokens")[0] == 62
    assert store.lengths("audio")[0] == 112


def test_attributes_say_where_everything_came_from(tmp_path):
    store = make_store(tmp_path)
    raw = tmp_path / "raw"
    names = ["face.csd", "folds.json", "labels.csd", "tone.csd", "words.csd"]
    assert store.attribute("sources") == {name: sha256_file(raw / name) for name in names}
    assert store.attribute("columns") == {
        "audio": ["pitch", "energy", "noise"],
        "vision": ["smile", "frown"],
    }
    assert store.attribute("feature_sets") == {"audio": "tone", "vision": "face"}
    assert store.attribute("frame_rate_hz") == {"audio": 12.5, "vision": 15.0}
    assert (store.dataset, store.alignment, store.attribute("tokenizer")) == ("sample", "unaligned", "tiny")
    assert store.limits == {"text": 50, "audio": 100, "vision": 100}
    aligned = make_store(tmp_path, alignment="aligned", name="aligned.h5")
    assert aligned.limits == {"text": 50, "audio": 50, "vision": 50}


def test_dropped_utterances_stand_in_the_store(tmp_path):
    store = make_store(tmp_path, with_video(segments=[(0.0, 1.0), (3.0, 2.0)]))
    listed = json.loads(bytes(store._h5["dropped_json"][()]))
    assert listed == [{"id": "va$_$2", "reason": "interval [3.0, 2.0] does not run forward"}]


def test_progress_is_told_after_every_block(tmp_path):
    steps = []
    source = open_source("sample", make_csd_folder(tmp_path / "raw"))
    build_store(source, tmp_path / "s.h5", alignment="unaligned", progress=lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]


class Interrupted:
    """A source whose second block fails once the store is being written."""

    def __init__(self, source, error):
        self.source, self.error = source, error

    def __getattr__(self, name):
        return getattr(self.source, name)

    def block(self, number):
        if number == 1:
            raise self.error
        return self.source.block(number)


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), OSError("stop"), SourceError("stop")])
def test_an_interrupted_build_leaves_no_file_and_the_old_store_whole(tmp_path, error):
    source = open_source("sample", make_csd_folder(tmp_path / "raw"))
    with pytest.raises(type(error), match="stop"):
        build_store(Interrupted(source, error), tmp_path / "out" / "s.h5", alignment="unaligned")
    assert files_below(tmp_path / "out") == []
    first = build_store(source, tmp_path / "out" / "s.h5", alignment="unaligned")
    before = first.path.read_bytes()
    with pytest.raises(type(error), match="stop"):
        build_store(Interrupted(source, error), first.path, alignment="aligned")
    assert files_below(tmp_path / "out") == ["s.h5"]
    assert first.path.read_bytes() == before


def test_an_id_that_stands_twice_leaves_no_file(tmp_path):
    source = open_source("sample", make_csd_folder(tmp_path / "raw"))

    class Twice(Interrupted):
        def block(self, number):
            return self.source.block(0)

    with pytest.raises(SourceError, match=r"utterance va\$_\$1 stands twice in the source\. Remove one"):
        build_store(Twice(source, None), tmp_path / "out" / "s.h5", alignment="unaligned")
    assert files_below(tmp_path / "out") == []


def test_words_are_stored_with_their_times(tmp_path):
    store = make_store(tmp_path)
    corpus = small_corpus()
    words = store.words(row_of(store, "vc$_$2"))
    expected = [w for w in corpus["vc"].words if w[1] >= 1.2]
    assert words["token"].tolist() == [w[0] for w in expected] == ["fine", "music", "there"]
    np.testing.assert_allclose(words["start_s"], [w[1] for w in expected], rtol=1e-6)
    np.testing.assert_allclose(words["end_s"], [w[2] for w in expected], rtol=1e-6)
