import os

import numpy as np
import pytest
from builders import MMSA_IDS, files_below, make_tokenizer_folder, mmsa_folds, write_pickle

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import load_source_manifest, open_source
from mer_data.sources.pickles.mmsa_pickle import MmsaPickle
from mer_data.store.reader import FeatureStore
from mer_data.text.tokenizer import Tokenizer

KNOWN_TEXTS = ["good film", "bad plot indeed", "it was", "dull"]


@pytest.fixture
def pieces(tmp_path):
    return make_tokenizer_folder(tmp_path / "tokenizer", KNOWN_TEXTS)


def open_pickle(path):
    return MmsaPickle(path, load_source_manifest("mosi"))


def build(tmp_path, folds, *, alignment="unaligned", tokenizer=None):
    source = open_source("mosi", write_pickle(tmp_path / "x.pkl", folds))
    name = tokenizer or str(tmp_path / "tokenizer")
    report = build_store(source, tmp_path / "out" / "s.h5", alignment=alignment, tokenizer=name)
    return FeatureStore.open(report.path), report


def assert_refused(tmp_path, folds, message, **options):
    with pytest.raises(SourceError, match=message) as caught:
        build(tmp_path, folds, **options)
    assert "\n" not in str(caught.value)
    if (tmp_path / "out").exists():
        assert files_below(tmp_path / "out") == []


# --- what is read ---


def test_unaligned_layout(tmp_path, pieces):
    source = open_pickle(write_pickle(tmp_path / "mosi_50.pkl", mmsa_folds(pieces)))
    blocks = list(source.blocks())
    assert source.alignment == "unaligned"
    assert source.num_blocks == len(blocks) == 3
    assert [path.name for path in source.files] == ["mosi_50.pkl"]
    assert source.streams["audio"].columns == ("audio_0", "audio_1", "audio_2")
    assert source.streams["vision"].name == "mosi_50_vision"
    assert source.streams["vision"].frame_rate_hz is None
    for fold, block in zip(MMSA_IDS, blocks, strict=True):
        assert block.frame["fold"].unique().tolist() == [fold]
        assert block.frame["id"].tolist() == MMSA_IDS[fold]
    frame = blocks[0].frame
    assert frame["video_id"].tolist() == ["va", "va"]
    assert frame["segment"].tolist() == [1, 2]
    assert blocks[2].frame["segment"].tolist() == [10]
    assert frame["label"].tolist() == [1.0, -2.0]
    assert frame["label"].dtype == np.float32
    assert frame["text"].tolist() == ["GOOD FILM", "BAD PLOT INDEED"]
    assert frame[["start_s", "end_s"]].isna().all().all()


def test_padding_is_removed_by_the_lengths(tmp_path, pieces):
    block = next(open_pickle(write_pickle(tmp_path / "x.pkl", mmsa_folds(pieces))).blocks())
    assert block.streams["audio"].lengths.tolist() == [3, 4]
    assert block.streams["vision"].lengths.tolist() == [2, 3]
    assert block.streams["audio"][1].tolist() == [[1] * 3, [2] * 3, [3] * 3, [4] * 3]
    assert block.token_ids.lengths.tolist() == [4, 5]
    assert block.token_ids[0].tolist() == pieces.encode("good film")[0].tolist()
    assert block.token_ids.values.dtype == np.int32


def test_aligned_layout_is_cut_to_the_word_pieces(tmp_path, pieces):
    source = open_pickle(write_pickle(tmp_path / "x.pkl", mmsa_folds(pieces, aligned=True)))
    block = next(source.blocks())
    assert source.alignment == "aligned"
    for modality in ("audio", "vision"):
        assert block.streams[modality].lengths.tolist() == [4, 5]
        assert block.streams[modality][1][:, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("aligned", [True, False])
def test_a_store_of_a_pickle(tmp_path, pieces, aligned):
    alignment = "aligned" if aligned else "unaligned"
    store, report = build(tmp_path, mmsa_folds(pieces, aligned=aligned), alignment=alignment)
    assert store.alignment == alignment
    assert store.utterances["id"].tolist() == ["va$_$1", "va$_$2", "vb$_$1", "vc$_$10"]
    assert store.read([1]).streams["vision"][0][:, 1].tolist() == ([1, 2, 3, 4, 5] if aligned else [1, 2, 3])
    assert store.words(1)["token"].tolist() == ["BAD", "PLOT", "INDEED"]
    assert np.isnan(store.words(1)["start_s"]).all()
    assert report.cleaning["utterances_without_words"] == 0


@pytest.mark.parametrize("aligned", [True, False])
def test_the_other_alignment_is_refused(tmp_path, pieces, aligned):
    has, lacks = ("aligned", "unaligned") if aligned else ("unaligned", "aligned")
    assert_refused(
        tmp_path,
        mmsa_folds(pieces, aligned=aligned),
        rf"an? {lacks} store cannot be made from this file in .*x\.pkl\. Pass --alignment {has},",
        alignment=lacks,
    )


# --- word pieces ---


def test_published_pieces_of_the_same_vocabulary_are_taken(tmp_path, pieces):
    folds = mmsa_folds(pieces)
    cut = folds["train"]["text_bert"][1]  # the publisher cut "bad plot indeed" to four pieces
    cut[:, 3:] = 0
    cut[0, 3], cut[1, 3] = pieces.special_id("[SEP]"), 1
    store, report = build(tmp_path, folds)
    rows = store.read(range(4))
    assert rows.token_ids[1].tolist() == [*pieces.encode("bad plot")[0].tolist()]
    assert rows.token_words[1].tolist() == [-1, 0, 1, -1]
    assert rows.token_ids[0].tolist() == pieces.encode("good film")[0].tolist()
    assert rows.token_words[0].tolist() == [-1, 0, 1, -1]
    assert "utterances_with_foreign_pieces" not in report.cleaning
    assert "utterances_with_other_pieces" not in report.cleaning


def test_published_pieces_that_differ_from_ours_are_taken_and_counted(tmp_path, pieces):
    folds = mmsa_folds(pieces)
    folds["train"]["text_bert"][0, 0, 1] = pieces.encode("plot")[0][1]
    store, report = build(tmp_path, folds)
    rows = store.read([0])
    assert rows.token_ids[0].tolist() == pieces.encode("plot film")[0].tolist()
    assert rows.token_words[0].tolist() == [-1] * 4
    assert report.cleaning["utterances_with_other_pieces"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda bert: bert.__setitem__((0, 0), 101),  # another [CLS]
        lambda bert: bert.__setitem__(1, 0),  # no pieces
    ],
)
def test_pieces_of_another_vocabulary_are_replaced_and_counted(tmp_path, pieces, change):
    folds = mmsa_folds(pieces)
    change(folds["train"]["text_bert"][0])
    store, report = build(tmp_path, folds)
    assert store.read_tokens([0])[0].tolist() == pieces.encode("good film")[0].tolist()
    assert report.cleaning["utterances_with_foreign_pieces"] == 1


def test_pieces_beyond_a_vocabulary_that_begins_as_ours_are_refused(tmp_path, pieces):
    folds = mmsa_folds(pieces)
    folds["train"]["text_bert"][1, 0, 1] = 30000
    message = (
        r"word piece of utterance va\$_\$2 is not in the vocabulary of .*: found 30000, expected numbers"
    )
    assert_refused(tmp_path, folds, message)


def test_an_aligned_pickle_needs_its_own_tokenizer(tmp_path, pieces):
    other = make_tokenizer_folder(tmp_path / "other", ["a b c"])
    folds = mmsa_folds(pieces, aligned=True)
    for fold in folds.values():
        fold["text_bert"][:, 0, 0] = 101
    assert len(other.encode("GOOD FILM")[0]) == len(pieces.encode("GOOD FILM")[0])
    wide = Tokenizer.from_pretrained("tiny", list("goodfilmbadplotindeeditwasdull"))
    (tmp_path / "other" / "tokenizer.json").write_text(wide.to_json())
    assert_refused(
        tmp_path,
        folds,
        r"word pieces of utterance va\$_\$1 do not fit its audio .*: found 10 word pieces and 4 vectors\."
        r" Pass --tokenizer",
        alignment="aligned",
        tokenizer=str(tmp_path / "other"),
    )


# --- what is refused ---


@pytest.mark.parametrize("key", ["id", "raw_text", "text_bert", "audio", "vision", "regression_labels"])
def test_a_missing_key_is_told(tmp_path, pieces, key):
    folds = mmsa_folds(pieces)
    del folds["valid"][key]
    assert_refused(tmp_path, folds, rf"fold 'valid' lacks the key '{key}' in .*x\.pkl")


@pytest.mark.parametrize(
    ("fold", "key"), [("train", "vision_lengths"), ("test", "audio_lengths"), ("valid", "vision_lengths")]
)
def test_lengths_must_be_everywhere_or_nowhere(tmp_path, pieces, fold, key):
    folds = mmsa_folds(pieces)
    del folds[fold][key]
    assert_refused(tmp_path, folds, rf"fold '{fold}' lacks the key '{key}'")


@pytest.mark.parametrize("fold", ["train", "valid", "test"])
def test_a_missing_fold_is_told(tmp_path, pieces, fold):
    folds = mmsa_folds(pieces)
    del folds[fold]
    assert_refused(tmp_path, folds, r"not an MMSA pickle in .* expected train, valid and test")


@pytest.mark.parametrize("content", [[1, 2], "text", None, {}])
def test_something_else_is_told(tmp_path, pieces, content):
    assert_refused(
        tmp_path, content, r"not an MMSA pickle in .*x\.pkl: found .*expected train, valid and test"
    )


@pytest.mark.parametrize("part", [None, [1], "id raw_text"])
def test_a_fold_that_is_no_dict_is_told(tmp_path, pieces, part):
    assert_refused(tmp_path, mmsa_folds(pieces) | {"valid": part}, r"fold 'valid' is not a dict in .*x\.pkl")


@pytest.mark.parametrize(
    "key",
    [
        "raw_text",
        "text_bert",
        "audio",
        "vision",
        "regression_labels",
        "audio_lengths",
        "vision_lengths",
    ],
)
def test_uneven_lengths_are_told(tmp_path, pieces, key):
    folds = mmsa_folds(pieces)
    folds["train"][key] = folds["train"][key][:1]
    assert_refused(tmp_path, folds, rf"fold 'train': '{key}' does not fit .*of shape \(1,.*of shape \(2[,)]")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("audio", np.zeros((2, 8))),
        ("audio", [np.zeros((2, 3)), np.zeros((3, 3))]),
        ("audio", np.full((2, 8, 3), "a")),
        ("vision", np.zeros((2, 8, 2), dtype=object)),
        ("text_bert", np.zeros((2, 8))),
        ("text_bert", np.zeros((2, 2, 8))),
        ("regression_labels", ["1", "2"]),
        ("regression_labels", np.zeros((2, 2))),
        ("audio_lengths", ["3", "4"]),
    ],
)
def test_arrays_of_another_kind_or_shape_are_told(tmp_path, pieces, key, value):
    folds = mmsa_folds(pieces)
    folds["train"][key] = value
    assert_refused(tmp_path, folds, r"fold 'train': '\w+' does not fit 'id' and the other folds in .*x\.pkl")


@pytest.mark.parametrize("value", [5, None, np.array([["a", "b"]]), {"a": 1}])
@pytest.mark.parametrize("key", ["id", "raw_text"])
def test_texts_that_are_no_list_are_told(tmp_path, pieces, key, value):
    folds = mmsa_folds(pieces)
    folds["train"][key] = value
    assert_refused(tmp_path, folds, rf"'{key}' is no list of texts in .*x\.pkl, fold 'train': found")


def test_folds_of_different_width_are_told(tmp_path, pieces):
    folds = mmsa_folds(pieces)
    folds["test"]["vision"] = np.zeros((1, 8, 4), np.float32)
    assert_refused(
        tmp_path, folds, r"fold 'test': 'vision' .* shape \(1, 8, 4\), expected numbers of shape \(1, T, 2\)"
    )


@pytest.mark.parametrize(("fold", "again"), [("train", 1), ("test", 0)])
def test_an_id_twice_is_told(tmp_path, pieces, fold, again):
    folds = mmsa_folds(pieces)
    folds[fold]["id"] = list(folds[fold]["id"])
    folds[fold]["id"][again] = "va$_$1"
    assert_refused(tmp_path, folds, rf"utterance va\$_\$1 stands twice in .*x\.pkl, fold '{fold}'")


@pytest.mark.parametrize(
    "name", ["va-1", "va_x", "va[1", "$_$1", "va$_$", "va$_$x", "va$_$-1", "va$_$\N{SUPERSCRIPT TWO}"]
)
def test_an_id_of_another_form_is_told(tmp_path, pieces, name):
    folds = mmsa_folds(pieces)
    folds["test"]["id"] = [name]
    assert_refused(tmp_path, folds, r"not an utterance id in .*expected video\$_\$number")


@pytest.mark.parametrize("label", [3.01, -4.0, np.nan])
def test_a_label_out_of_range_is_told(tmp_path, pieces, label):
    folds = mmsa_folds(pieces)
    folds["valid"]["regression_labels"] = np.array([label])
    assert_refused(tmp_path, folds, r"label of utterance vb\$_\$1 is out of range in .*x\.pkl")


class Hostile:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path, pieces):
    folds = mmsa_folds(pieces)
    folds["train"]["annotations"] = Hostile(tmp_path / "trace")
    assert_refused(tmp_path, folds, r"refused class posix\.system")
    assert not (tmp_path / "trace").exists()


def test_a_truncated_pickle_is_refused(tmp_path, pieces):
    path = write_pickle(tmp_path / "x.pkl", mmsa_folds(pieces))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"damaged pickle .*x\.pkl"):
        open_source("mosi", path)


# --- files without lengths (CASP) ---


def casp_folds(pieces, steps=6):
    """No lengths, dense text, and fewer frames than word pieces; a row of zeros inside is no padding."""
    folds = mmsa_folds(pieces)
    for part in folds.values():
        for modality in ("audio", "vision"):
            part[modality] = part[modality][:, :steps]
            part[modality][:, 1] = 0
            del part[f"{modality}_lengths"]
        part["text"] = np.ones((len(part["id"]), steps, 4), np.float32)
        del part["annotations"], part["classification_labels"]
    return folds


def test_without_lengths_rows_end_at_the_last_frame(tmp_path, pieces):
    store, _ = build(tmp_path, casp_folds(pieces))
    assert store.alignment == "unaligned"
    streams = store.read([0, 1]).streams
    assert streams["audio"].lengths.tolist() == [3, 4]
    assert streams["vision"].lengths.tolist() == [0 + 1, 3]
    assert streams["audio"][1][:, 0].tolist() == [1, 0, 3, 4]


def test_without_lengths_and_with_a_frame_for_every_piece_the_file_is_aligned(tmp_path, pieces):
    folds = casp_folds(pieces, steps=8)
    assert_refused(tmp_path, folds, r"Pass --alignment aligned", alignment="unaligned")


@pytest.mark.parametrize(
    ("given", "name"),
    [("va_b_12", "va_b$_$12"), ("va[12]", "va$_$12"), ("va_007", "va$_$7"), ("va_1$_$12", "va_1$_$12")],
)
def test_ids_of_other_forms_become_ours(tmp_path, pieces, given, name):
    folds = casp_folds(pieces)
    folds["test"]["id"] = [given]
    store, _ = build(tmp_path, folds)
    last = store.utterances.iloc[-1]
    assert last["id"] == name
    assert f"{last['video_id']}$_${last['segment']}" == name


def test_two_forms_of_one_id_are_told(tmp_path, pieces):
    folds = casp_folds(pieces)
    folds["test"]["id"] = ["va_2"]
    assert_refused(tmp_path, folds, r"utterance va\$_\$2 stands twice in .*x\.pkl, fold 'test'")
