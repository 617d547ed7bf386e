"""Pickles that ask for more than their files explain: one line, soon, and without much memory."""

import bz2
import gzip
import lzma
import pickle
import struct
import time
import zlib

import numpy as np
import pytest
from builders import limited_memory

from mer_data.errors import SourceError
from mer_data.sources.pickles.joblib_file import read_arrays

MEMORY = 200 << 20
SECONDS = 2.0

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
FLOATS = b"cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
OBJECTS = FLOATS.replace(b"f8", b"O8").replace(b"<", b"|")
HUGE = b"J\xff\xff\xff\x7f"
WRAPPER = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81"


def text(content):
    return b"X" + struct.pack("<I", len(content)) + content


def doubled(begin, double, end=b""):
    """Parts of which each holds the one before it twice or more; all of them stay on the stack."""
    code = begin + b"q\x00"
    for number in range(60):
        code += b"".join(bytes([number]) if part is None else part for part in double)
        code += b"q" + bytes([number + 1])
    return code + end


def shared_lists():
    """Lists of a hundred, each of the one before it: 100 ** 20 leaves in twenty levels."""
    code = b"]q\x00"
    for number in range(20):
        code += b"](" + (b"h" + bytes([number])) * 100 + b"eq" + bytes([number + 1])
    return code


def array(shape, dtype=None, content=b"C\x00"):
    """An array of this shape (the code of a tuple), made by numpy's names."""
    return RECONSTRUCT + b"(K\x01" + shape + (dtype or FLOATS) + b"\x89" + content + b"tb"


def wrapped(shape, code=b"f8"):
    state = (
        b"}(\x8c\x08subclasscnumpy\nndarray\n\x8c\x05shape" + shape + b"\x8c\x05order\x8c\x01C"
        b"\x8c\x05dtype" + FLOATS.replace(b"f8", code) + b"u"
    )
    return WRAPPER + state + b"b"


CUT_SHORT = r"cut short: \d+ bytes are announced and \d are left"
SHARED = r"shared parts, written out, take more than \d+ bytes"
MEMORY_TOLD = r"needs more than \d+ bytes of memory"
NESTED = r"nested more than \d+ deep"
KEY = r"refused key of tuple"
SHAPE = r"without a shape|does not fit its shape"

BOMBS = {
    # sizes that are only claimed
    "bytearray8": (b"\x96" + struct.pack("<Q", 3 << 30) + b"AAAA", CUT_SHORT),
    "bytes8": (b"\x8e" + struct.pack("<Q", 3 << 30) + b"AAAA", CUT_SHORT),
    "text8": (b"\x8d" + struct.pack("<Q", 3 << 30) + b"AAAA", CUT_SHORT),
    "text4": (b"X" + struct.pack("<I", 3 << 30) + b"AAAA", CUT_SHORT),
    "string": (b"T" + struct.pack("<i", 2 << 29) + b"AAAA", CUT_SHORT),
    "integer": (b"\x8b" + struct.pack("<i", 2 << 29) + b"AAAA", CUT_SHORT),
    "frame": (b"\x95" + struct.pack("<Q", 3 << 30) + b"N", CUT_SHORT),
    "shape": (array(b"(" + HUGE + b"K\x00t"), SHAPE),
    "shape of many": (array(b"(" + HUGE * 50_000 + b"t"), SHAPE),
    "items of no size": (
        array(HUGE + b"\x85", dtype=FLOATS.replace(b"f8", b"U0"), content=b"C\x01a"),
        "not fit",
    ),
    "wide text": (
        b"cnumpy.core.multiarray\nscalar\n("
        + FLOATS.replace(b"\x8c\x02f8", b"\x8c\x09U99999999")
        + b"C\x00tR",
        "refused dtype",
    ),
    "joblib shape": (wrapped(HUGE + b"\x85"), CUT_SHORT),
    # parts that double
    "pair as a key": (b"})" + b"2\x86" * 50 + b"Ns", "refused opcode DUP"),
    "pair by the memo as a key": (b"}(" + doubled(b")", (b"h", None, b"h", None, b"\x86"), b"Nu"), KEY),
    "pair in a set": (b"\x8f(" + doubled(b")", (b"h", None, b"h", None, b"\x86"), b"\x90"), KEY),
    "frozen sets": (doubled(b"(\x91", (b"(h", None, b"h", None, b"\x91")), "refused key of frozenset"),
    "lists": (b"](" + doubled(b"]", (b"](h", None, b"h", None, b"h", None, b"e"), b"e"), SHARED),
    "dicts": (b"](" + doubled(b"}", (b"}(K\x00h", None, b"K\x01h", None, b"u"), b"e"), SHARED),
    "shared lists": (b"](" + shared_lists() + b"e", SHARED),
    "text in a list": (b"](" + text(b"a" * 50_000) + b"q\x00" + b"h\x00" * 50_000 + b"e", SHARED),
    "array in a list": (
        b"]("
        + array(b"M\x00\x20\x85", content=b"B\x00\x00\x01\x00" + b"a" * 65536)
        + b"q\x00"
        + b"h\x00" * 50_000
        + b"e",
        SHARED,
    ),
    "list in itself": (b"]q\x00h\x00a", NESTED),
    "dict in itself": (b"}q\x00K\x01h\x00s", NESTED),
    "array in itself": (
        RECONSTRUCT + b"q\x00(K\x01K\x01\x85" + OBJECTS + b"\x89]q\x01h\x00atb",
        "an array in place of data",
    ),
    # contents that are copied again and again
    "encoded": (
        text(b"a" * 50_000) + b"q\x00c_codecs\nencode\nq\x01(" + b"h\x01h\x00\x85R" * 40_000 + b"t\x87",
        MEMORY_TOLD,
    ),
    "object arrays": (
        b"](]("
        + b"N" * 50_000
        + b"eq\x00"
        + array(b"M\x50\xc3\x85", dtype=OBJECTS, content=b"h\x00") * 500
        + b"e",
        MEMORY_TOLD,
    ),
    "sets of one list": (
        b"](](" + b"N" * 50_000 + b"eq\x00cbuiltins\nset\nq\x01\x85" + b"h\x01h\x00\x85R" * 20_000 + b"e",
        MEMORY_TOLD,
    ),
    # depth
    "lists in lists": (b"]" * 300_000 + b"a" * 299_999, NESTED),
    "tuples in tuples": (b")" + b"\x85" * 300_000, NESTED),
    "a deep key": (b"})" + b"\x85" * 300_000 + b"Ns", KEY),
    "a deep module": (b")" + b"\x85" * 300_000 + b"\x8c\x01a\x93", "a name that is no text"),
    "a deep dtype": (b"cnumpy\ndtype\n)" + b"\x85" * 300_000 + b"\x85R", "refused dtype tuple"),
    "a deep encoding": (
        b"c_codecs\nencode\n\x8c\x01a)" + b"\x85" * 300_000 + b"\x86R",
        "refused call of _codecs.encode",
    ),
    "marks": (b"(" * 300_000, "damaged pickle"),
    # numbers
    "a long number": (b"\x8b" + struct.pack("<i", 200_000) + b"\x7f" * 200_000, "more than 64 bits"),
    "a long decimal": (b"L" + b"9" * 200_000 + b"L\n", "damaged pickle"),
    "numbers of one hash": (
        b"}("
        + b"".join(b"\x8a\x0a" + (n << 61).to_bytes(10, "little") + b"N" for n in range(9, 20_000))
        + b"u",
        "more than 64 bits",
    ),
}
PACKED = {
    "tuples": b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.",
    "nothings": b"\x80\x02" + b"N0" * 4_000_000 + b".",
    "dicts": b"\x80\x02(" + b"}" * 4_000_000 + b"l.",
    "zeros": b"\x80\x04\x8e" + struct.pack("<Q", 40 << 20) + bytes(40 << 20) + b".",
    "claim": b"\x80\x05\x96\x00\x00\x00\xc0\x00\x00\x00\x00AAAA.",
}
PACKERS = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda content: lzma.compress(content, preset=0),
}


def assert_refused(path, content, reason):
    """One line, soon, with little memory; and before anything hostile could overflow the stack of C."""
    path.write_bytes(content)
    start = time.process_time()
    with limited_memory(MEMORY), pytest.raises(SourceError, match=reason) as caught:
        read_arrays(path)
    assert time.process_time() - start < SECONDS
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(tmp_path, name):
    code, reason = BOMBS[name]
    assert_refused(tmp_path / "x.pkl", b"\x80\x04" + code + b".", reason)


def test_indices_of_the_memo_cost_nothing(tmp_path):
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02Nr\xff\xff\xff\x0f.")
    with limited_memory(MEMORY):
        assert read_arrays(tmp_path / "x.pkl") is None


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", PACKED)
def test_a_compressed_bomb_is_refused(tmp_path, name, packer):
    assert_refused(tmp_path / "x.pkl", PACKERS[packer](PACKED[name]), r"pickle|becomes too large")


def test_many_tiny_compressed_streams_are_read_soon(tmp_path):
    content = b"".join(gzip.compress(bytes([byte])) for byte in pickle.dumps(list(range(2000)), protocol=0))
    (tmp_path / "x.pkl").write_bytes(content)
    start = time.process_time()
    assert read_arrays(tmp_path / "x.pkl") == list(range(2000))
    assert time.process_time() - start < SECONDS


def test_a_pickle_that_goes_on_after_its_end_is_refused(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([1]) + pickle.dumps([2]))
    with pytest.raises(SourceError, match=r"something follows the end of the pickle\) in .*x\.pkl, byte \d+"):
        read_arrays(tmp_path / "x.pkl")


def test_a_compressed_file_is_checked_to_its_end(tmp_path):
    content = bytearray(gzip.compress(pickle.dumps(np.arange(3.0)), mtime=0))
    content[-8] ^= 1  # of the checksum
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(SourceError, match="damaged pickle"):
        read_arrays(tmp_path / "x.pkl")


def test_parts_may_be_shared_as_files_of_the_field_share_them(tmp_path):
    lengths, names = [3, 4], ["Negative"] * 20_000
    content = {"audio_lengths": lengths, "vision_lengths": lengths, "names": names, "same": [names] * 4}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    assert read_arrays(tmp_path / "x.pkl") == content


@pytest.mark.parametrize("depth", [0, 5, 30])
def test_nesting_of_a_sane_depth_is_read(tmp_path, depth):
    content = 1
    for _ in range(depth):
        content = [content]
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    assert read_arrays(tmp_path / "x.pkl") == content


def test_the_text_of_python_2(tmp_path):
    code = b"\x80\x02}(U\x02idU\x04caf\xc3U\x01xU\x01yu."
    (tmp_path / "x.pkl").write_bytes(code)
    assert read_arrays(tmp_path / "x.pkl") == {"id": b"caf\xc3", "x": "y"}
