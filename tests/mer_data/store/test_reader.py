import multiprocessing
import os
import pickle

import h5py
import numpy as np
import pytest
from builders import make_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import StoreError
from mer_data.store.reader import FeatureStore
from mer_data.utterances import UTTERANCE_COLUMNS


@pytest.fixture(scope="module")
def store(sample_stores):
    return FeatureStore.open(sample_stores["unaligned"])


@pytest.fixture(scope="module")
def everything(sample_stores):
    """All values of the store, read straight from the file."""
    with h5py.File(sample_stores["unaligned"]) as file:
        names = {"ids": ("tokens", "ids"), "words": ("tokens", "words")}
        names |= {name: (name, "values") for name in ("audio", "vision")}
        return {key: np.split(file[g][n][()], file[g]["offsets"][1:-1]) for key, (g, n) in names.items()}


def assert_rows(rows, everything, indices):
    assert len(rows.token_ids) == len(indices)
    for number, index in enumerate(indices):
        np.testing.assert_array_equal(rows.token_ids[number], everything["ids"][index])
        np.testing.assert_array_equal(rows.token_words[number], everything["words"][index])
        for modality in ("audio", "vision"):
            np.testing.assert_array_equal(rows.streams[modality][number], everything[modality][index])


# --- reading ---


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, 47), max_size=12))
def test_read_gives_the_rows_asked_for_in_any_order(store, everything, indices):
    assert_rows(store.read(indices), everything, indices)


def test_read_takes_arrays_ranges_and_nothing(store, everything):
    assert_rows(store.read(np.array([3, 1], dtype=np.int32)), everything, [3, 1])
    assert_rows(store.read(range(4, 1, -1)), everything, [4, 3, 2])
    rows = store.read([])
    assert len(rows.token_ids) == 0
    assert rows.streams["audio"].values.shape == (0, 6)
    assert rows.streams["audio"].values.dtype == np.float32
    assert rows.token_ids.values.dtype == np.int32


@pytest.mark.parametrize("indices", [[-1], [48], [0, 99], [2, -3]])
def test_rows_that_are_not_there_are_an_error(store, indices):
    with pytest.raises(IndexError, match="of 48 utterances"):
        store.read(indices)


def test_read_tokens_gives_the_same_pieces(store, everything):
    tokens = store.read_tokens([5, 0, 5])
    for number, index in enumerate([5, 0, 5]):
        np.testing.assert_array_equal(tokens[number], everything["ids"][index])


def test_words_are_those_of_the_text(store):
    utterances = store.utterances
    assert any(not text for text in utterances["text"])
    for index, row in enumerate(utterances.itertuples()):
        words = store.words(index)
        assert " ".join(words["token"]) == row.text
        assert (np.diff(words["start_s"]) >= 0).all()
        assert (words["end_s"] >= words["start_s"]).all()


def test_words_beyond_the_last_utterance_are_an_error(store):
    with pytest.raises((IndexError, ValueError), match=r"out of bounds|not enough values"):
        store.words(48)


def test_lengths_and_widths(store, everything):
    assert len(store) == 48
    for group, key in (("tokens", "ids"), ("audio", "audio"), ("vision", "vision")):
        assert store.lengths(group).tolist() == [len(row) for row in everything[key]]
    assert store.lengths("words").tolist() == [len(store.words(i)) for i in range(48)]
    assert (store.width("audio"), store.width("vision")) == (6, 8)


def test_utterances_are_a_frame_with_types(store):
    frame = store.utterances
    assert tuple(frame.columns) == UTTERANCE_COLUMNS
    assert len(frame) == 48
    assert frame["label"].dtype == np.float32
    assert frame["segment"].dtype == np.int64
    assert frame["start_s"].dtype == frame["end_s"].dtype == np.float64
    assert all(isinstance(value, str) for name in ("id", "video_id", "text", "fold") for value in frame[name])
    assert (frame["id"] == frame["video_id"] + "$_$" + frame["segment"].astype(str)).all()
    assert frame["fold"].value_counts().to_dict() == {"train": 30, "valid": 6, "test": 12}


def test_tokenizer_comes_back(store):
    pieces = store.tokenizer
    assert pieces.name == "tiny"
    assert pieces.vocabulary_digest == store.attribute("vocabulary_digest")
    text = store.utterances["text"].iloc[0]
    ids, words = pieces.encode(text)
    rows = store.read([0])
    np.testing.assert_array_equal(rows.token_ids[0], ids)
    np.testing.assert_array_equal(rows.token_words[0], words)


def test_limits_are_the_manifests(store, sample_stores):
    assert store.limits == {"text": 50, "audio": 100, "vision": 100}
    assert FeatureStore.open(sample_stores["aligned"]).limits == {"text": 50, "audio": 50, "vision": 50}


def test_the_file_opens_again_after_closing(store, everything):
    store.close()
    store.close()
    assert_rows(store.read([7]), everything, [7])


# --- other processes ---


def sums_of(store, indices):
    rows = store.read(indices)
    return [float(rows.streams["audio"][i].sum()) for i in range(len(indices))]


def send_sums(store, indices, queue):
    inherited = store._file
    sums = sums_of(store, indices)
    queue.put((store._file is not inherited and store._owner == os.getpid(), sums))


def test_a_forked_process_opens_the_file_for_itself(store):
    context = multiprocessing.get_context("fork")
    mine = sums_of(store, range(48))
    queue = context.Queue()
    workers = [context.Process(target=send_sums, args=(store, range(48), queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=30) for _ in workers]
    for worker in workers:
        worker.join(timeout=30)
        assert worker.exitcode == 0
    assert found == [(True, mine), (True, mine)]
    assert sums_of(store, range(48)) == mine


def test_only_the_path_travels(store):
    _ = store.utterances, store.tokenizer
    store.read([0])
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    copy = pickle.loads(sent)
    assert copy._file is None
    assert sums_of(copy, [3, 2]) == sums_of(store, [3, 2])


def test_a_store_is_sent_to_a_worker(store):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(sums_of, (store, [1, 9])).get(timeout=30) == sums_of(store, [1, 9])


# --- what is refused ---


def test_no_store(tmp_path):
    with pytest.raises(StoreError, match=r"no store in .*absent\.h5\. Make it with `mer-data build`"):
        FeatureStore.open(tmp_path / "absent.h5")
    with pytest.raises(StoreError, match="no store in"):
        FeatureStore.open(tmp_path)


def test_something_else_than_hdf5(tmp_path):
    (tmp_path / "s.h5").write_text("text")
    with pytest.raises(StoreError, match=r"not an HDF5 file in .*s\.h5: found first bytes b'text'"):
        FeatureStore.open(tmp_path / "s.h5")


@pytest.mark.parametrize(("stated", "message"), [(None, "in .*s.h5: expected"), ("other", "found other")])
def test_another_hdf5_file(tmp_path, stated, message):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        if stated:
            file.attrs["format"] = stated
    with pytest.raises(
        StoreError, match=rf"not a feature store {message}|not a feature store in .*{message}"
    ):
        FeatureStore.open(tmp_path / "s.h5")


def test_a_newer_version(tmp_path):
    path = make_store(tmp_path).path
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 3
    with pytest.raises(StoreError, match=r"newer version in .*found 3, expected at most 2\. Update mer-data"):
        FeatureStore.open(path)


@pytest.mark.parametrize("kept", [0.1, 0.4, 0.999])
def test_a_truncated_store(tmp_path, sample_stores, kept):
    content = sample_stores["unaligned"].read_bytes()
    (tmp_path / "s.h5").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(
        StoreError, match=r"truncated in .*: found \d+ bytes, expected \d+ .*`mer-data build --f"
    ):
        FeatureStore.open(tmp_path / "s.h5")


READERS = {
    "audio/values": lambda s: s.read([0]),
    "vision/values": lambda s: s.read([0]),
    "tokens/words": lambda s: s.read([0]),
    "audio/offsets": lambda s: s.read([0]),
    "tokens/ids": lambda s: s.read_tokens([0]),
    "tokens/offsets": lambda s: s.lengths("tokens"),
    "words/times": lambda s: s.words(0),
    "words/token_values": lambda s: s.words(0),
    "utterances/label": lambda s: s.utterances,
    "utterances/text_values": lambda s: s.utterances,
    "tokens/tokenizer_json": lambda s: s.tokenizer,
}


@pytest.mark.parametrize("name", READERS)
def test_a_chunk_with_flipped_bytes_fails_its_checksum(tmp_path, sample_stores, name):
    path = tmp_path / "s.h5"
    content = bytearray(sample_stores["unaligned"].read_bytes())
    with h5py.File(sample_stores["unaligned"]) as file:
        place = file[name].id.get_chunk_info(0).byte_offset
    content[place] ^= 0x55
    path.write_bytes(content)
    store = FeatureStore.open(path)
    with pytest.raises(StoreError, match=r"a chunk fails its checksum in .*s\.h5\. Build it again") as caught:
        READERS[name](store)
    assert "\n" not in str(caught.value)


def test_other_chunks_can_still_be_read(tmp_path, sample_stores, everything):
    path = tmp_path / "s.h5"
    content = bytearray(sample_stores["unaligned"].read_bytes())
    with h5py.File(sample_stores["unaligned"]) as file:
        content[file["audio/values"].id.get_chunk_info(0).byte_offset] ^= 1
    path.write_bytes(content)
    store = FeatureStore.open(path)
    np.testing.assert_array_equal(store.read_tokens([3])[0], everything["ids"][3])
    assert len(store.utterances) == 48


def test_a_limited_store_serves_shorter_rows_in_other_processes_too(sample_stores):
    store = FeatureStore.open(sample_stores["unaligned"])
    own = store.limits
    limited = store.limited({"text": 7, "audio": own["audio"] + 1})
    expected = {**own, "text": 7}
    assert limited.limits == expected
    assert pickle.loads(pickle.dumps(limited)).limits == expected
    assert limited.limited({"text": 9}).limits == expected
    assert store.limits == own
    assert limited.content_digest == store.content_digest
