"""Values of MMSA pickles: what has one right reading is mended and counted, everything else is refused."""

from pathlib import Path

import numpy as np
import pytest
from builders import files_below, limited_memory, make_tokenizer_folder, mmsa_folds, write_pickle
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import load_source_manifest, open_source
from mer_data.sources.clip_ids import ClipNumbers
from mer_data.sources.pickles.mmsa_pickle import MmsaPickle
from mer_data.sources.pickles.mmsa_values import utterance_ids
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify


@pytest.fixture
def folds(tmp_path):
    pieces = make_tokenizer_folder(tmp_path / "tokenizer", ["good film", "bad plot indeed", "it was", "dull"])
    return mmsa_folds(pieces)


def build(tmp_path, folds):
    source = open_source("mosi", write_pickle(tmp_path / "x.pkl", folds))
    report = build_store(
        source, tmp_path / "out" / "s.h5", alignment="unaligned", tokenizer=str(tmp_path / "tokenizer")
    )
    return FeatureStore.open(report.path), report


def assert_refused(tmp_path, folds, message):
    with pytest.raises(SourceError, match=message) as caught:
        build(tmp_path, folds)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or files_below(tmp_path / "out") == []


# --- texts ---


def test_bytes_of_utf_8_are_decoded_and_counted(tmp_path, folds):
    folds["train"]["raw_text"] = ["café".encode(), "bad plot indeed"]
    folds["test"]["id"] = np.array([b"vc$_$10"])
    store, report = build(tmp_path, folds)
    assert store.utterances["text"].tolist()[:2] == ["café", "bad plot indeed"]
    assert store.utterances["id"].tolist()[-1] == "vc$_$10"
    assert report.cleaning["texts_of_bytes_decoded"] == 2


@pytest.mark.parametrize("container", [list, lambda row: np.array(row, dtype=object)], ids=["list", "array"])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "None"),
        (np.nan, "nan"),
        (7, "7"),
        (["a"], "list"),
        (b"\xff", r"the bytes b'\\xff', which are no UTF-8"),
        ("a\ud800b", r"half of a surrogate pair in 'a\\ud800b'"),
    ],
    ids=repr,
)
def test_what_is_no_text_is_refused_with_its_utterance(tmp_path, folds, value, found, container):
    row = ["good film", None]
    row[1] = value
    folds["train"]["raw_text"] = container(row)
    message = (
        rf"'raw_text' has values that are no texts \(1 of 2\) in .*x\.pkl, fold 'train': found {found} for"
    )
    assert_refused(tmp_path, folds, message + r" va\$_\$2")


@pytest.mark.parametrize("value", [None, 3, "v\udfff$_$1", b"\xc3"])
def test_an_id_that_is_no_text_is_refused_with_its_place(tmp_path, folds, value):
    folds["valid"]["id"] = [value]
    assert_refused(tmp_path, folds, r"'id' has values that are no texts \(1 of 1\) .*for utterance 0")


def test_a_surrogate_in_an_array_of_text_is_refused(tmp_path, folds):
    folds["train"]["raw_text"] = np.array(["good film", "b\ud800d"])
    assert_refused(tmp_path, folds, r"half of a surrogate pair in 'b\\ud800d' for va\$_\$2")


def test_more_texts_than_ids_are_told_before_what_they_are(tmp_path, folds):
    folds["test"]["raw_text"] = ["DULL", None]
    assert_refused(tmp_path, folds, r"fold 'test': 'raw_text' does not fit 'id' .* texts of shape \(2,\)")


def test_many_wrong_texts_are_one_line(tmp_path, folds):
    for fold in folds.values():
        fold["raw_text"] = [None] * len(fold["id"])
    folds["train"] = {
        key: list(value) * 5 if key != "id" else [f"v{n}$_$1" for n in range(10)]
        for key, value in folds["train"].items()
    }
    assert_refused(tmp_path, folds, r"\(10 of 10\).*None for v0\$_\$1, None for v1.*v2\$_\$1 and 7 more")


# --- ids ---


def test_a_complete_numbering_from_0_is_shifted_and_counted(tmp_path, folds):
    folds["train"]["id"] = ["va[0]", "va[1]"]
    folds["valid"]["id"], folds["test"]["id"] = ["vb[0]"], ["va[2]"]
    store, report = build(tmp_path, folds)
    assert store.utterances["id"].tolist() == ["va$_$1", "va$_$2", "vb$_$1", "va$_$3"]
    assert report.cleaning["segments_counted_from_0_shifted_by_1"] == 4
    assert not verify(report.path).num("error")


@pytest.mark.parametrize(
    "ids", [["va$_$0", "va$_$2"], ["va$_$0", "vd$_$1"], ["va$_$0", "vd$_$5"]], ids=["gap", "mixed", "other"]
)
def test_a_segment_0_without_a_complete_numbering_is_refused(tmp_path, folds, ids):
    folds["train"]["id"] = ids
    folds["valid"]["id"], folds["test"]["id"] = ["vb$_$0"], ["vc$_$0"]
    assert_refused(
        tmp_path, folds, r"segments are counted from 0, and not all of them are there in .*found va\$_\$0"
    )


def test_numbers_from_1_stay(tmp_path, folds):
    _, report = build(tmp_path, folds)
    assert "segments_counted_from_0_shifted_by_1" not in report.cleaning


@given(st.dictionaries(st.sampled_from(["a", "b", "c_1"]), st.integers(1, 6), min_size=1), st.randoms())
@settings(max_examples=60)
def test_any_complete_numbering_from_0_becomes_the_one_from_1(videos, random):
    names = [f"{video}[{number}]" for video, size in videos.items() for number in range(size)]
    random.shuffle(names)
    cut = random.randrange(len(names) + 1)
    ids, change = utterance_ids({"train": names[:cut], "test": names[cut:]}, "x.pkl")
    wanted = {f"{video}$_${number}" for video, size in videos.items() for number in range(1, size + 1)}
    assert set(ids["train"] + ids["test"]) == wanted
    assert change == "segments_counted_from_0_shifted_by_1"


CLIPS = ClipNumbers({"va": [10, 13, 3], "vb": [0, None, 2]})


def test_clip_numbers_become_segments_of_all_folds_together():
    numbered = {"train": ["va$_$3", "va$_$10"], "test": ["vb$_$0", "vb$_$2"]}
    ids, change = utterance_ids(numbered, "x.pkl", CLIPS)
    assert ids == {"train": ["va$_$3", "va$_$1"], "test": ["vb$_$1", "vb$_$3"]}
    assert change == "clip_ids_turned_into_segments"


def test_segment_numbers_stay_where_a_corpus_has_clips():
    numbered = {"train": ["va$_$1", "va$_$2", "va$_$3"], "test": ["vb$_$1", "vb$_$3"]}
    assert utterance_ids(numbered, "x.pkl", CLIPS) == (numbered, None)


def test_a_clip_of_no_segment_is_told():
    numbered = {"train": ["va$_$3", "va$_$10", "va$_$4"], "test": ["vb$_$0"]}
    with pytest.raises(
        SourceError, match=r"1 of 4 clip ids are of no segment of the corpus .*found va clip 4"
    ):
        utterance_ids(numbered, "x.pkl", CLIPS)


@pytest.mark.parametrize("name", ["va\n$_$1", "v\x00a$_$1", "va$_$1\n", "va$_$" + "9" * 5000, "va$_$x_1"])
def test_ids_that_no_corpus_has_are_refused(tmp_path, folds, name):
    folds["test"]["id"] = [name]
    assert_refused(tmp_path, folds, "not an utterance id in")


def test_leading_zeros_are_the_same_segment(tmp_path, folds):
    folds["test"]["id"] = ["vc$_$010"]
    store, report = build(tmp_path, folds)
    assert store.utterances["id"].tolist()[-1] == "vc$_$10"
    assert not verify(report.path).num("error")
    folds["test"]["id"] = ["va$_$02"]
    with pytest.raises(SourceError, match=r"utterance va\$_\$2 stands twice"):
        build(tmp_path, folds)


# --- lengths ---


@pytest.mark.parametrize("modality", ["audio", "vision"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-3, "whole numbers from 0"),
        (np.nan, "whole numbers from 0"),
        (np.inf, "whole numbers from 0"),
        (2.5, "whole numbers from 0"),
        (9, "at most the 8 steps of the array"),
        (1e30, "at most the 8 steps of the array"),
    ],
)
def test_impossible_lengths_are_refused_with_their_utterance(tmp_path, folds, modality, value, expected):
    folds["train"][f"{modality}_lengths"] = np.array([3.0, value])
    message = (
        rf"'{modality}_lengths' has impossible values \(1 of 2\) in .*x\.pkl, fold 'train': found \S+ for va"
    )
    assert_refused(tmp_path, folds, message + rf"\$_\$2, expected {expected}")


def swapped(folds):
    for fold in folds.values():
        fold["audio_lengths"], fold["vision_lengths"] = fold["vision_lengths"], fold["audio_lengths"]
    return folds


def test_swapped_lengths_are_exchanged_and_counted(tmp_path, folds):
    right, _ = build(tmp_path, folds)
    wanted = [right.lengths(modality).tolist() for modality in ("audio", "vision")]
    store, report = build(tmp_path, swapped(folds))
    assert [store.lengths(modality).tolist() for modality in ("audio", "vision")] == wanted
    assert report.cleaning["swapped_lengths_of_audio_and_vision_exchanged"] == 4


def test_swapped_lengths_that_exceed_an_array_are_exchanged(tmp_path, folds):
    for fold in folds.values():
        fold["vision"] = fold["vision"][:, :3]
    store, report = build(tmp_path, swapped(folds))
    assert store.lengths("audio").tolist() == [3, 4, 3, 3]
    assert report.cleaning["swapped_lengths_of_audio_and_vision_exchanged"] == 4


def test_lengths_that_may_be_swapped_stay(tmp_path, folds):
    """Full of frames, so that both fit: nothing says that they are swapped."""
    for fold in folds.values():
        fold["audio"] = np.ones_like(fold["audio"])
        fold["vision"] = np.ones_like(fold["vision"])
    store, report = build(tmp_path, folds)
    assert store.lengths("audio").tolist() == [3, 4, 3, 3]
    assert report.cleaning.get("swapped_lengths_of_audio_and_vision_exchanged", 0) == 0


def test_a_wrong_length_is_no_swap(tmp_path, folds):
    folds["train"]["audio_lengths"] = [9, 4]
    assert_refused(tmp_path, folds, r"'audio_lengths' has impossible values .* found 9 for va\$_\$1")


# --- word pieces, widths ---


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 0, 1), -7, r"an impossible word piece \(1 of 2 utterances\) .* found -7.0 for va\$_\$2"),
        ((1, 0, 7), -7, r"an impossible word piece .* found -7.0 for va\$_\$2"),
        ((0, 0, 1), np.nan, r"an impossible word piece .* found nan for va\$_\$1"),
        (
            (0, 0, 1),
            1.5,
            r"an impossible word piece .* found 1.5 for va\$_\$1, expected whole numbers from 0",
        ),
        ((0, 0, 1), 2.0**40, r"an impossible word piece .* found 1099511627776.0 for va\$_\$1"),
        ((0, 1, 0), -1, r"an impossible mask of word pieces .* found -1.0 for va\$_\$1"),
        ((0, 1, 1), 0, r"an impossible mask .* found 1.0 for va\$_\$1, expected ones and then zeros"),
        ((0, 1, 7), np.nan, r"an impossible mask of word pieces"),
        ((0, 1, 0), 3, r"an impossible mask of word pieces"),
    ],
)
def test_impossible_word_pieces_are_refused(tmp_path, folds, place, value, message):
    folds["train"]["text_bert"][place] = value
    assert_refused(tmp_path, folds, r"'text_bert' has " + message)


@pytest.mark.parametrize("fold", ["train", "valid", "test"])
@pytest.mark.parametrize("modality", ["audio", "vision"])
def test_a_modality_without_columns_is_refused(tmp_path, folds, modality, fold):
    for part in folds.values():
        part[modality] = part[modality][:, :, :0]
    assert_refused(tmp_path, folds, rf"'{modality}' has no columns in .*x\.pkl, fold 'train'")


def test_texts_among_numbers_take_no_memory(tmp_path, folds):
    """Numpy would make every number as wide as the longest text."""
    folds["train"]["regression_labels"] = [["x" * 100_000] * 10, [1.0] * 10]
    assert_refused(tmp_path, folds, "'regression_labels' does not fit .* holds other things than numbers")


def test_numbers_that_are_too_large_for_a_store_are_counted(tmp_path, folds, recwarn):
    folds["train"]["audio"] = folds["train"]["audio"].astype(np.float64)
    folds["train"]["audio"][0, 0, 0] = 1e300
    _, report = build(tmp_path, folds)
    assert report.cleaning["audio_values_not_finite"] == 1
    assert not recwarn.list


CASES = Path(__file__).resolve().parents[5] / "shared" / "cases" / "pickles"


@pytest.mark.skipif(not CASES.is_dir(), reason=f"the pickles that went wrong are not at {CASES}")
def test_what_went_wrong_once_is_refused_in_one_line():
    for path in sorted(CASES.iterdir()):
        with limited_memory(200 << 20), pytest.raises(SourceError) as caught:
            MmsaPickle(path, load_source_manifest("mosi"))
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)


def test_another_process_reads_the_same(tmp_path, folds):
    import pickle

    source = MmsaPickle(write_pickle(tmp_path / "x.pkl", folds), load_source_manifest("mosi"))
    again = pickle.loads(pickle.dumps(source))
    assert again.ids("train") == source.ids("train")
