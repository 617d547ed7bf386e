import bz2
import gzip
import lzma
import os
import pickle
import zlib

import joblib
import numpy as np
import pytest
from builders import PICKLED_ARRAYS, make_tokenizer_folder, mmsa_folds
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib.numpy_pickle import NumpyArrayWrapper

from mer_data.errors import SourceError
from mer_data.sources import open_source
from mer_data.sources.pickles import joblib_file as module
from mer_data.sources.pickles.joblib_file import read_arrays

COMPRESSIONS = [0, 3, ("zlib", 9), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)]
CONTENT = {
    **PICKLED_ARRAYS,
    "long": np.arange(400_000),
    "plain": ["a", 1, 2.5, None, {"b": (True, b"c")}],
}


def dump(folder, content, **options):
    path = folder / "x.pkl"
    joblib.dump(content, path, **options)
    return path


def assert_equal(found, content):
    assert list(found) == list(content)
    for name, value in content.items():
        if hasattr(value, "dtype"):
            assert found[name].dtype.kind == value.dtype.kind, name
            assert found[name].shape == value.shape, name
        assert np.asarray(found[name]).tolist() == np.asarray(value).tolist() if name != "plain" else True
    assert found["plain"] == content["plain"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("compress", COMPRESSIONS, ids=str)
def test_what_joblib_writes_comes_back(tmp_path, compress, protocol):
    assert_equal(read_arrays(dump(tmp_path, CONTENT, compress=compress, protocol=protocol)), CONTENT)


def test_the_same_array_twice(tmp_path):
    array = np.arange(3.0)
    found = read_arrays(dump(tmp_path, [array, array]))
    assert [part.tolist() for part in found] == [[0, 1, 2]] * 2


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("state", [{}, {"numpy_array_alignment_bytes": None}])
def test_the_layout_without_padding(tmp_path, order, state):
    """What joblib before 1.3 wrote: the bytes follow the wrapper at once."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    wrapper = NumpyArrayWrapper.__new__(NumpyArrayWrapper)
    wrapper.__dict__.update(
        {"subclass": np.ndarray, "shape": (2, 3), "order": order, "dtype": array.dtype, "allow_mmap": False}
        | state
    )
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(wrapper, protocol=3)[:-1] + array.tobytes(order) + b".")
    assert read_arrays(path).tolist() == array.tolist()


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zlib.compress,
        lambda b: gzip.compress(b[:50]) + gzip.compress(b[50:]),
    ],
)
def test_compressed_plain_pickles_come_back(tmp_path, pack):
    path = tmp_path / "x.pkl"
    path.write_bytes(pack(pickle.dumps(CONTENT)))
    assert_equal(read_arrays(path), CONTENT)


def test_plain_pickles_come_back(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(CONTENT))
    assert_equal(read_arrays(path), CONTENT)


class Hostile:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=str)
@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_hostile_file_is_refused_by_name_and_not_run(tmp_path, compress, where):
    hostile = Hostile(tmp_path / "trace")
    content = hostile if where == "beside" else np.array([hostile], dtype=object)
    path = dump(tmp_path, [np.arange(3.0), content], compress=compress)
    with pytest.raises(
        SourceError, match=r"unsafe or damaged pickle \(refused class posix\.system\) in .*x\.pkl"
    ):
        read_arrays(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "build",
    [
        b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n}\x8c\x04readK\x01sb.",  # the class itself
        b"\x80\x04cnumpy\ndtype\nN}\x8c\x07__doc__K\x01s\x86b.",
        b"\x80\x04ccollections\nOrderedDict\n)R}b.",
    ],
)
def test_nothing_but_our_own_makers_takes_a_state(tmp_path, build):
    path = tmp_path / "x.pkl"
    path.write_bytes(build)
    with pytest.raises(SourceError, match=r"refused state of"):
        read_arrays(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (-1, 3)},
        {"shape": ("a",)},
        {"shape": 3},
        {"shape": (1 << 60,)},
        {"order": "K"},
        {"subclass": np.dtype("f4")},
        {"dtype": "f4"},
        {"dtype": np.dtype([("field", "f4")])},
        {"dtype": np.dtype("O")},
        {"dtype": np.dtype("U1")},
        {"numpy_array_alignment_bytes": 16},
    ],
    ids=str,
)
def test_a_wrapper_that_does_not_fit_is_one_line(tmp_path, changes):
    wrapper = NumpyArrayWrapper.__new__(NumpyArrayWrapper)
    wrapper.__dict__.update(
        {"subclass": np.ndarray, "shape": (4,), "order": "C", "dtype": np.dtype("f4")} | changes
    )
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(wrapper, protocol=3)[:-1] + b"\xff" * 16 + b".")
    with pytest.raises(SourceError, match=r"pickle") as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=str)
@pytest.mark.parametrize("kept", [1, 5, 0.3, 0.9])
def test_a_truncated_file_is_one_line(tmp_path, compress, kept):
    path = dump(tmp_path, {"a": np.random.default_rng(0).normal(size=2000)}, compress=compress)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(SourceError, match=r"damaged pickle .*x\.pkl") as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compress", COMPRESSIONS[1:], ids=str)
def test_a_bomb_is_refused(tmp_path, compress, monkeypatch):
    path = dump(tmp_path, np.zeros(4_000_000, np.uint8), compress=compress)
    assert len(read_arrays(path)) == 4_000_000
    message = r"the compressed file becomes too large in .*x\.pkl: found more than \d+ bytes\."
    with pytest.raises(SourceError, match=message):
        read_arrays(path, max_bytes=1_000_000)
    monkeypatch.setattr(module, "MIN_LIMIT", 1)
    monkeypatch.setattr(module, "MAX_RATIO", 2)
    with pytest.raises(SourceError, match=message):
        read_arrays(path)


@pytest.mark.parametrize(
    ("begin", "tool"),
    [(b"\x04\x22\x4d\x18", "lz4"), (b"ZF0x1f", "joblib before 0.10"), (b"\x28\xb5\x2f\xfd", "zst")],
)
def test_other_compressions_are_told(tmp_path, begin, tool):
    path = tmp_path / "x.pkl"
    path.write_bytes(begin + b"rest")
    with pytest.raises(SourceError, match=rf"a file compressed with {tool}.* is not read in .*x\.pkl"):
        read_arrays(path)


def test_an_absent_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the pickle \(No such file or directory\)"):
        read_arrays(tmp_path / "absent.pkl")
    with pytest.raises(SourceError, match=r"cannot read the pickle \(Is a directory\)"):
        read_arrays(tmp_path)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=200)
@given(
    compress=st.sampled_from(COMPRESSIONS[:4]),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3
    ),
)
def test_damaged_files_are_plain_data_or_a_source_error(fuzzed, compress, changes):
    small = {name: value for name, value in CONTENT.items() if name != "long"}
    path = dump(fuzzed, small, compress=compress)
    content = bytearray(path.read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        repr(read_arrays(path, max_bytes=1 << 20))
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017


# --- the layouts of others ---


@pytest.mark.parametrize("compress", [0, 3, ("xz", 3)], ids=str)
def test_an_mmsa_file_saved_with_joblib(tmp_path, compress):
    folds = mmsa_folds(
        make_tokenizer_folder(tmp_path / "tokenizer", ["good film", "bad plot indeed", "it was"])
    )
    source = open_source("mosi", dump(tmp_path, folds, compress=compress))
    block = next(source.blocks())
    assert source.alignment == "unaligned"
    assert block.frame["id"].tolist() == ["va$_$1", "va$_$2"]
    assert block.streams["audio"].lengths.tolist() == [3, 4]
