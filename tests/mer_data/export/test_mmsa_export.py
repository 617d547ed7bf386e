import pickle
import pickletools

import numpy as np
import pytest
from exact_stores import split_of, write_store

from mer_data.build import build_store
from mer_data.errors import ExportError, SplitError, StatisticsError
from mer_data.export.mmsa import export_mmsa
from mer_data.sources import open_source
from mer_data.sources.pickles.joblib_file import read_arrays
from mer_data.splits import SplitManifest, standard_split
from mer_data.store.reader import FeatureStore

TEXTS = ["good film", "bad plot indeed", "it was", "dull", "fine music there", "so so"]
LABELS = [1.0, -2.0, 0.0, -0.4, 2.4, 0.0]
KEYS = ["raw_text", "text_bert", "audio", "vision", "id", "annotations", "classification_labels"]


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "s.h5", TEXTS, LABELS, audio=[1, 2, 3, 4, 5, 6], vision=[3, 2, 1, 1, 1, 1])


def split_by_hand(store):
    return split_of(store, [4, 0, 2], [1], [5, 3])


def standard(store):
    return standard_split(store.utterances, dataset=store.dataset, utterance_digest=store.utterance_digest)


def export(store, folder, split=None, **options):
    report = export_mmsa(store, split or split_by_hand(store), folder / "e.pkl", **options)
    return pickle.loads(report.path.read_bytes()), report


def rebuilt(path, alignment):
    build_store(open_source("sample", path), path.with_suffix(".h5"), alignment=alignment)
    return FeatureStore.open(path.with_suffix(".h5"))


def assert_same_utterances(store, other):
    """The same ids, labels, texts, word pieces and frames, in any order."""
    assert other.utterance_digest == store.utterance_digest
    row_of = {name: row for row, name in enumerate(other.utterances["id"])}
    there = [row_of[name] for name in store.utterances["id"]]
    ours, theirs = store.read(range(len(store))), other.read(there)
    np.testing.assert_array_equal(ours.token_ids.values, theirs.token_ids.values)
    np.testing.assert_array_equal(ours.token_ids.offsets, theirs.token_ids.offsets)
    for modality in ("audio", "vision"):
        np.testing.assert_array_equal(ours.streams[modality].values, theirs.streams[modality].values)
        np.testing.assert_array_equal(ours.streams[modality].offsets, theirs.streams[modality].offsets)


# --- layout ---


def test_keys_types_and_padding_of_an_unaligned_store(store, tmp_path):
    content, report = export(store, tmp_path)
    assert list(content) == ["train", "valid", "test"]
    assert report.sizes == {"train": 3, "valid": 1, "test": 2}
    part = content["train"]
    assert set(part) == {*KEYS, "audio_lengths", "vision_lengths", "regression_labels"}
    assert part["id"] == ["v000$_$1", "v002$_$1", "v004$_$1"]
    assert part["raw_text"].tolist() == ["good film", "it was", "fine music there"]
    assert part["annotations"] == ["Positive", "Neutral", "Positive"]
    assert content["valid"]["annotations"] == ["Negative"]
    assert part["classification_labels"].tolist() == [2.0, 1.0, 2.0]
    assert part["regression_labels"].tolist() == np.float32([1.0, 0.0, 2.4]).tolist()
    assert part["audio_lengths"] == [1, 3, 5]
    assert part["vision_lengths"] == [3, 1, 1]
    assert {name: (value.shape, value.dtype) for name, value in part.items() if hasattr(value, "dtype")} == {
        "raw_text": ((3,), np.dtype("<U16")),
        "text_bert": ((3, 3, 50), np.dtype("f4")),
        "audio": ((3, 6, 3), np.dtype("f4")),
        "vision": ((3, 3, 2), np.dtype("f4")),
        "classification_labels": ((3,), np.dtype("f8")),
        "regression_labels": ((3,), np.dtype("f8")),
    }
    for row, index in enumerate([0, 2, 4]):
        pieces = store.read([index]).token_ids[0]
        assert part["text_bert"][row, 0, : len(pieces)].tolist() == pieces.tolist()
        assert part["text_bert"][row, 1].tolist() == [1] * len(pieces) + [0] * (50 - len(pieces))
        assert not part["text_bert"][row, 0, len(pieces) :].any()
        assert not part["text_bert"][row, 2].any()
        frames = store.read([index]).streams["audio"][0]
        np.testing.assert_array_equal(part["audio"][row, : len(frames)], frames)
        assert not part["audio"][row, len(frames) :].any()


def test_an_aligned_store_has_no_lengths_and_frames_beside_the_pieces(tmp_path):
    store = write_store(tmp_path / "s.h5", TEXTS, LABELS, aligned=True, limits={"audio": 50, "vision": 50})
    part = export(store, tmp_path)[0]["train"]
    assert set(part) == {*KEYS, "regression_labels"}
    assert part["audio"].shape == (3, 50, 3)
    filled = part["text_bert"][:, 1].astype(bool)
    assert not part["audio"][~filled].any()
    np.testing.assert_array_equal(part["audio"][filled], store.read([0, 2, 4]).streams["audio"].values)


def test_padding_to_the_limits(store, tmp_path):
    content, report = export(store, tmp_path, pad_to="limits")
    assert content["test"]["vision"].shape == (2, 20, 2)
    assert report.shapes["audio"] == (3, 20, 3)


@pytest.mark.parametrize("aligned", [False, True])
def test_rows_that_are_too_long_are_cut_as_for_our_models(tmp_path, aligned):
    limits = {"text": 4, "audio": 4, "vision": 4}
    store = write_store(
        tmp_path / "s.h5", TEXTS, audio=[9] * 6, vision=[1] * 6, aligned=aligned, limits=limits
    )
    content, report = export(store, tmp_path)
    rows = store.read([4])
    pieces, frames = rows.token_ids[0], rows.streams["audio"][0]
    part = content["train"]
    assert part["text_bert"][2, 0].tolist() == [*pieces[:3].tolist(), pieces[-1]]
    np.testing.assert_array_equal(part["audio"][2, :3], frames[:3])
    np.testing.assert_array_equal(part["audio"][2, 3], frames[-1] if aligned else frames[3])
    assert report.num_cut["text"] == 2
    assert report.num_cut["audio"] == (2 if aligned else 6)
    if not aligned:
        assert part["audio_lengths"] == [4, 4, 4]


def test_rows_without_frames(tmp_path):
    store = write_store(tmp_path / "s.h5", TEXTS, audio=[0] * 6, vision=[0, 1, 1, 1, 1, 1])
    content, report = export(store, tmp_path)
    assert content["train"]["audio_lengths"] == [0, 0, 0]
    assert content["train"]["audio"].shape == (3, 1, 3)
    assert report.num_empty == {"audio": 6, "vision": 1}
    content, _ = export(store, tmp_path, at_least_one_frame=True)
    assert content["train"]["vision_lengths"] == [1, 1, 1]
    assert not content["train"]["vision"][0].any()


def test_dense_text_of_an_encoder(store, tmp_path):
    torch = pytest.importorskip("torch")
    from mer_data.text.encoder import load_text_encoder

    content, report = export(store, tmp_path, text_encoder="tiny")
    assert report.shapes["text"] == content["train"]["text"].shape == (3, 50, 64)
    assert content["test"]["text"].dtype == np.float32
    pieces = torch.from_numpy(store.read([4]).token_ids[0].astype(np.int64))[None]
    with torch.inference_mode():
        wanted = load_text_encoder("tiny", store.tokenizer).eval()(
            pieces, torch.ones_like(pieces, dtype=bool)
        )
    size = pieces.shape[1]
    np.testing.assert_allclose(content["train"]["text"][2, :size], wanted[0].numpy(), atol=1e-5)
    assert not content["train"]["text"][2, size:].any()


def test_numpy_1_can_read_the_names(store, tmp_path):
    export(store, tmp_path)
    content = (tmp_path / "e.pkl").read_bytes()
    assert content[:2] == b"\x80\x04"
    assert b"numpy._core" not in content
    modules = {arg for _, arg, _ in pickletools.genops(content) if arg in ("numpy.core.multiarray", "numpy")}
    assert modules == {"numpy.core.multiarray", "numpy"}
    assert read_arrays(tmp_path / "e.pkl")["test"]["audio"].shape == (2, 6, 3)


# --- round trips ---


@pytest.mark.parametrize("alignment", ["unaligned", "aligned"])
def test_export_and_import_give_the_same_store_and_again_the_same_bytes(sample_stores, tmp_path, alignment):
    store = FeatureStore.open(sample_stores[alignment])
    report = export_mmsa(store, standard(store), tmp_path / "a.pkl")
    assert report.num_cut == {"text": 0, "audio": 0, "vision": 0}
    again = rebuilt(tmp_path / "a.pkl", alignment)
    assert_same_utterances(store, again)
    assert set(zip(again.utterances["id"], again.utterances["fold"], strict=True)) == {
        (name, fold) for fold, names in standard(store).splits.items() for name in names
    }
    export_mmsa(again, standard(again), tmp_path / "b.pkl")
    assert (tmp_path / "b.pkl").read_bytes() == (tmp_path / "a.pkl").read_bytes()
    assert_same_utterances(again, rebuilt(tmp_path / "b.pkl", alignment))


def test_our_split_becomes_the_folds_of_the_file(store, tmp_path):
    split = split_by_hand(store)
    export(store, tmp_path, split)
    again = rebuilt(tmp_path / "e.pkl", "unaligned")
    assert standard(again).splits == split.splits
    assert standard(again).kind == "standard"


def test_the_real_pickle_comes_back(mosi_folder, mosi_stores, tmp_path):
    store = mosi_stores["pickle"]
    found, _ = export(store, tmp_path, standard(store))
    original = read_arrays(mosi_folder / "unaligned_50.pkl")
    assert list(found) == list(original)
    for fold, part in original.items():
        assert list(found[fold]) == list(part)
        for key, value in part.items():
            ours = found[fold][key]
            assert isinstance(ours, list) == isinstance(value, list), key
            if isinstance(value, list):
                assert ours == value, key
                assert {type(entry) for entry in ours} == {type(entry) for entry in value}, key
            else:
                assert (ours.dtype, ours.shape) == (value.dtype, value.shape), key
                np.testing.assert_array_equal(ours, value, err_msg=key)


# --- what is refused ---


def test_a_split_of_another_store_is_refused(store, tmp_path):
    other = write_store(tmp_path / "other.h5", [*TEXTS[:-1], "other words"], LABELS)
    with pytest.raises(SplitError, match=r"the split manifest was made from another store than .*s\.h5"):
        export(store, tmp_path, split_by_hand(other))
    assert not (tmp_path / "e.pkl").exists()


def test_an_empty_fold_is_refused(store, tmp_path):
    split = SplitManifest(
        **{**vars(split_by_hand(store)), "splits": {"train": ("v000$_$1",), "valid": (), "test": ()}}
    )
    with pytest.raises(ExportError, match=r"fold 'valid' is empty"):
        export(store, tmp_path, split)


def test_an_encoder_that_is_not_there_leaves_no_file(store, tmp_path):
    with pytest.raises(StatisticsError, match=r"minilm"):
        export(store, tmp_path, text_encoder="minilm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.h5"]
