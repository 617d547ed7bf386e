"""Stores without audio or vision, and sources that would give a store which only looks whole."""

import numpy as np
import pytest
from builders import make_csd_folder, make_words, open_csd, small_corpus, with_video

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.store.reader import FeatureStore

TRANSCRIPTS = {
    "va_1": "good film",
    "va_2": "bad plot indeed",
    "vb_1": "it was",
    "vb_2": "great fun",
    "vc_1": "dull",
}


def text_folder(folder):
    """Labels and transcripts alone; one of six segments has no transcript."""
    folder = make_csd_folder(folder, transcripts=TRANSCRIPTS)
    for name in ("words.csd", "tone.csd", "face.csd"):
        (folder / name).unlink()
    return folder


def build(source, path, alignment="unaligned", **options):
    return build_store(source, path, alignment=alignment, tokenizer="tiny", **options)


def test_texts_alone_make_a_store(tmp_path):
    source = open_csd(text_folder(tmp_path / "raw"), transcripts="transcripts.csv")
    report = build(source, tmp_path / "s.h5")
    assert [(drop.id, drop.reason) for drop in report.dropped] == [
        ("vc$_$2", "no text, in a store of texts alone")
    ]
    store = FeatureStore.open(report.path)
    assert store.utterances["id"].tolist() == ["va$_$1", "va$_$2", "vb$_$1", "vb$_$2", "vc$_$1"]
    assert store.attribute("feature_sets") == {}
    assert int(store.attribute("version")) == 2


def test_a_whole_store_is_of_the_first_version(tmp_path):
    report = build(open_csd(make_csd_folder(tmp_path / "raw")), tmp_path / "s.h5")
    assert int(FeatureStore.open(report.path).attribute("version")) == 1


@pytest.mark.parametrize("alignment", ["aligned", "unaligned"])
def test_one_modality_can_be_left_out(tmp_path, alignment):
    folder = make_csd_folder(tmp_path / "raw")
    whole = build(open_csd(folder), tmp_path / "whole.h5", alignment)
    part = build(open_csd(folder, without=("vision",)), tmp_path / "part.h5", alignment, without=("vision",))
    whole, part = FeatureStore.open(whole.path), FeatureStore.open(part.path)
    assert part.modalities == ("audio",)
    assert part.utterance_digest == whole.utterance_digest
    rows, other = whole.read(range(6)), part.read(range(6))
    np.testing.assert_array_equal(rows.streams["audio"].values, other.streams["audio"].values)


def test_an_aligned_store_needs_word_times(tmp_path):
    folder = make_csd_folder(tmp_path / "raw", transcripts=TRANSCRIPTS)
    (folder / "words.csd").unlink()
    source = open_csd(folder, transcripts="transcripts.csv")
    with pytest.raises(SourceError, match=r"aligned store needs the times of the words.*--words PATH"):
        build(source, tmp_path / "s.h5", "aligned")
    assert not (tmp_path / "s.h5").exists()


def test_frames_of_other_videos_are_told(tmp_path):
    folder = make_csd_folder(tmp_path / "raw")
    other = make_csd_folder(tmp_path / "other", {f"x{name}": video for name, video in small_corpus().items()})
    (other / "tone.csd").replace(folder / "tone.csd")
    with pytest.raises(
        SourceError,
        match=r"no utterance has one frame of audio in .*found other videos in tone\.csd, such as xva, than"
        r" in labels\.csd, such as va\..* --without audio",
    ):
        build(open_csd(folder), tmp_path / "s.h5")


def test_frames_that_meet_no_word_are_told(tmp_path):
    corpus = small_corpus()
    for video in corpus.values():
        values, times = video.audio
        video.audio = (values, times + 20.0)
    source = open_csd(make_csd_folder(tmp_path / "raw", corpus))
    with pytest.raises(
        SourceError, match=r"no word has one frame of audio.*segments go from 0 to 2\.25 s, .*from 20"
    ):
        build(source, tmp_path / "s.h5", "aligned")


def test_words_of_another_text_are_a_warning_with_three_examples(tmp_path):
    words = make_words("ganz anders", 0, 1) + make_words("auch nicht gut", 1.25, 2.25)
    corpus = with_video(words=words)
    corpus["vb"].words = make_words("noch etwas", 0, 1) + make_words("und mehr", 1.25, 2.25)
    folder = make_csd_folder(tmp_path / "raw", corpus, transcripts=TRANSCRIPTS)
    report = build(open_csd(folder, transcripts="transcripts.csv"), tmp_path / "s.h5")
    (warning,) = report.warnings
    assert warning.startswith(
        "The words of 5 of 5 utterances are not their transcript. va$_$1: words 'ganz anders'"
    )
    assert warning.count("transcript '") == 3


def test_a_shift_is_recorded_in_the_store(tmp_path):
    corpus = small_corpus()
    for video in corpus.values():  # every word has the interval of the next one, the last one its own
        tokens, times = [w[0] for w in video.words], [w[1:] for w in video.words]
        video.words = [(t, *time) for t, time in zip(["uh", *tokens], [*times, times[-1]], strict=True)][:-1]
    folder = make_csd_folder(tmp_path / "raw", corpus)
    report = build(open_csd(folder, shift_words=-1), tmp_path / "s.h5")
    assert int(FeatureStore.open(report.path).attribute("word_shift")) == -1
    assert report.cleaning["words_shifted_beyond_the_video"] == 3


def test_words_cannot_be_shifted_where_there_are_none(tmp_path):
    with pytest.raises(SourceError, match="there are no words to shift"):
        open_csd(text_folder(tmp_path / "raw"), transcripts="transcripts.csv", shift_words=1)
