import builtins
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from builders import PICKLED_ARRAYS, limited_memory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mer_data.errors import SourceError
from mer_data.sources.pickles.joblib_file import read_arrays

PLAIN = (dict, list, tuple, set, frozenset, str, bytes, bytearray, bool, int, float, complex, type(None))


def write(folder, content):
    path = folder / "x.pkl"
    path.write_bytes(content)
    return path


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


ARRAYS = {
    **PICKLED_ARRAYS,
    "text scalar": np.str_("hey"),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back(tmp_path, name, protocol):
    value = ARRAYS[name]
    found = read_arrays(write(tmp_path, pickle.dumps(value, protocol=protocol)))
    assert np.shape(found) == value.shape
    assert np.asarray(found).dtype.kind == value.dtype.kind
    assert np.asarray(found).tolist() == value.tolist()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_containers_come_back(tmp_path, protocol):
    value = {"a": [1, 2.5, "x", b"\x00\xff", b"", None, True], "b": ({1, 2}, OrderedDict(k=-1))}
    assert read_arrays(write(tmp_path, pickle.dumps(value, protocol=protocol))) == value


def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    hostile = {"train": [Calls(os.system, f"touch {trace}")]}
    with pytest.raises(SourceError, match=r"unsafe or damaged pickle \(refused class posix\.system\)"):
        read_arrays(write(tmp_path, pickle.dumps(hostile)))
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "hostile",
    [
        Calls(builtins.eval, "1"),
        Calls(builtins.getattr, np.ndarray, "tofile"),
        Calls(pickle.loads, b"N."),
        Calls(np.load, "file"),
        Calls(np.frombuffer, b"12"),
    ],
    ids=["eval", "getattr", "loads", "load", "frombuffer"],
)
def test_other_functions_are_refused(tmp_path, hostile, protocol):
    function = hostile.call[0].__name__
    with pytest.raises(SourceError, match=rf"refused class .*\.{function}\)"):
        read_arrays(write(tmp_path, pickle.dumps(hostile, protocol=protocol)))


def test_other_encodings_are_refused(tmp_path):
    encode = b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93\x8c\x01a\x8c\x05rot13\x86R."
    with pytest.raises(SourceError, match="refused encoding rot13"):
        read_arrays(write(tmp_path, encode))


@pytest.mark.parametrize("name", ["ndarray.tofile", "ndarray.dump", "dtype.__class__"])
def test_attributes_of_admitted_names_are_refused(tmp_path, name):
    dotted = b"\x80\x04\x8c\x05numpy" + b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
    with pytest.raises(SourceError, match=rf"refused class numpy\.{name}"):
        read_arrays(write(tmp_path, dotted))


def object_state(dtype, shape, content):
    """An array pickled with a state of our choice."""

    class Array(np.ndarray):
        def __reduce__(self):
            make = np.zeros(1).__reduce__()[0]
            return make, (np.ndarray, (0,), b"b"), (1, shape, dtype, False, content)

    return Array((0,))


@pytest.mark.parametrize(
    "forged",
    [
        Calls(np.ndarray, (1,), np.dtype(object), b"A" * 8),  # numpy would take the bytes for an address
        object_state(np.dtype(object), (1,), b"A" * 8),
        object_state(np.dtype(object), (3,), ["only one"]),
        object_state(np.dtype("f8"), (4,), b"A" * 8),
        object_state(np.dtype("f8"), (-1, -1), b"A" * 8),
        object_state(np.dtype(object), (-1, -1), ["one"]),
        object_state(np.dtype([("field", object)]), (1,), b"A" * 8),
        np.zeros(2, dtype=[("field", "f4")]),
        Calls(np.zeros(1)[0].__reduce__()[0], np.dtype(object), b"A" * 8),
    ],
    ids=["call", "address", "short list", "short", "negative", "negative list", "field", "fields", "scalar"],
)
def test_arrays_whose_content_does_not_fit_are_refused(tmp_path, forged):
    with pytest.raises(SourceError, match=r"pickle"):
        read_arrays(write(tmp_path, pickle.dumps(forged)))


@pytest.mark.parametrize("kept", [1, 20, 100, -1])
def test_a_truncated_pickle_is_told(tmp_path, kept):
    content = pickle.dumps({"train": np.arange(100.0)})
    with pytest.raises(SourceError, match=r"damaged pickle .* in .*x\.pkl") as caught:
        read_arrays(write(tmp_path, content[:kept]))
    assert "\n" not in str(caught.value)


def test_an_absent_pickle_is_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the pickle \(No such file or directory\)"):
        read_arrays(tmp_path / "absent.pkl")


def assert_plain_or_refused(path, content):
    path.write_bytes(content)
    try:
        with limited_memory(1 << 30):
            found = read_arrays(path)
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    values, seen = [found], set()
    while values:
        value = values.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "biufSUO"
            repr(value)  # a forged address would end the process here
        elif isinstance(value, dict):
            values += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            values += value
        else:
            assert isinstance(value, (np.generic, *PLAIN))


@pytest.fixture(scope="module")
def pickle_path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "x.pkl"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (pickle.dumps([np.dtype("<f8")]), "Float64DType|dtype"),
        (pickle.dumps({"audio": np.array([None, np.dtype("<f8")], dtype=object)}), "Float64DType|dtype"),
        (b"(c_codecs\nencode\nt.", r"_codecs\.encode"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR.", "an array"),
    ],
)
def test_what_arrays_are_made_with_is_no_data(tmp_path, content, what):
    with pytest.raises(SourceError, match=rf"({what})\w* in place of data"):
        read_arrays(write(tmp_path, content))


@settings(max_examples=150)
@given(content=st.binary(max_size=60))
@example(b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93\x8c\x01a\x8c\x04nope\x86R.")  # LookupError
@example(b"Nr\xff\xff\xff\xff.")  # MemoryError
@example(b"\x8e" + b"\xff" * 8)
@example(b"]" + b"2a" * 200 + b".")
def test_random_bytes_are_plain_data_or_a_source_error(pickle_path, content):
    assert_plain_or_refused(pickle_path, content)


@settings(max_examples=250)
@given(
    name=st.sampled_from(sorted(ARRAYS)),
    protocol=st.integers(0, 5),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3
    ),
)
@example(name="big endian", protocol=1, changes=[(0.98828125, 113)])  # a dtype in place of the array
def test_damaged_arrays_are_plain_data_or_a_source_error(pickle_path, name, protocol, changes):
    content = bytearray(pickle.dumps([ARRAYS[name]], protocol=protocol))
    for place, byte in changes:
        content[int(place * len(content))] = byte
    assert_plain_or_refused(pickle_path, bytes(content))
