import json

import h5py
import numpy as np
import pytest
from builders import files_below, write_csd

from mer_data.errors import SourceError
from mer_data.sources.csd.csd_files import (
    MAX_WORD_BYTES,
    ComputationalSequence,
    write_computational_sequence,
)

TIMES = [(0, 1), (1, 2)]


def small_csd(folder, names=("a", "b", "c")):
    content = {
        "v2": (np.arange(6.0).reshape(2, 3), TIMES),
        "v1": (np.ones((1, 3), np.float32), [(0.5, 0.75)]),
    }
    return write_csd(folder / "x.csd", "Some Root", content, list(names))


def write_h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name.replace("__", "/")] = value
    return path


def test_what_is_written_is_read(tmp_path):
    sequence = ComputationalSequence(small_csd(tmp_path))
    assert sequence.root == "Some Root"
    assert sequence.videos == ["v1", "v2"]
    assert "v2" in sequence
    assert "v3" not in sequence
    assert sequence.width == 3
    assert sequence.dimension_names() == ["a", "b", "c"]
    features, times = sequence.read("v2")
    assert features.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert times.tolist() == [[0, 1], [1, 2]]
    assert times.dtype == np.float64


def test_layout_is_the_sdks(tmp_path):
    with h5py.File(small_csd(tmp_path)) as file:
        assert list(file) == ["Some Root"]
        assert set(file["Some Root"]) == {"data", "metadata"}
        assert set(file["Some Root/data/v1"]) == {"features", "intervals"}
        assert json.loads(file["Some Root/metadata/root name"][0]) == "Some Root"


def test_equal_content_gives_equal_bytes(tmp_path):
    (tmp_path / "again").mkdir()
    assert small_csd(tmp_path).read_bytes() == small_csd(tmp_path / "again").read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path):
    bad = {"v1": (np.ones((1, 1)), np.ones((1, 2))), "v2": (np.array([object()]), np.ones((1, 2)))}
    with pytest.raises(TypeError, match=r"[Oo]bject"):
        write_computational_sequence(
            tmp_path / "x.csd", "r", bad, dataset_name="d", description="", dimension_names=[]
        )
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("kept", [0.1, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_told(tmp_path, kept):
    path = small_csd(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SourceError, match=r"is truncated in .*x\.csd: found .* Fetch the file again"):
        ComputationalSequence(path)


def test_something_else_is_told(tmp_path):
    path = tmp_path / "x.csd"
    path.write_text("<html>not found</html>")
    with pytest.raises(SourceError, match="a web page, not a source file"):
        ComputationalSequence(path)


@pytest.mark.parametrize(
    "datasets",
    [
        {},
        {"root__metadata": 1},
        {"root": [1, 2]},
        {"root": 3},
        {"root__data": 3},
        {"one__data__v__features": [[1]], "two__data__v__features": [[1]]},
    ],
)
def test_another_layout_is_told(tmp_path, datasets):
    path = write_h5(tmp_path / "x.csd", **datasets)
    with pytest.raises(SourceError, match=r"unexpected layout in .* expected one root with 'data'"):
        ComputationalSequence(path)


@pytest.mark.parametrize(
    ("features", "intervals"),
    [
        ([[1.0]], [[0.0, 1.0], [1.0, 2.0]]),
        ([1.0], [[0.0, 1.0]]),
        ([[1.0]], [[0.0, 1.0, 2.0]]),
        ([[1.0]], [0.0]),
        ([[[1.0]]], [[0.0, 1.0]]),
    ],
)
def test_shapes_that_do_not_fit_name_the_video(tmp_path, features, intervals):
    path = write_h5(tmp_path / "x.csd", r__data__v7__features=features, r__data__v7__intervals=intervals)
    with pytest.raises(SourceError, match=r"shapes do not fit in .*x\.csd, video v7: found features"):
        ComputationalSequence(path).read("v7")


@pytest.mark.parametrize(
    "datasets",
    [
        {"r__data__v7__features": [[1.0]]},
        {"r__data__v7__features__inner": 1, "r__data__v7__intervals": [[0, 1]]},
        {"r__data__v7": [1.0]},
    ],
)
def test_missing_parts_name_the_video(tmp_path, datasets):
    path = write_h5(tmp_path / "x.csd", **datasets)
    with pytest.raises(SourceError, match=r"cannot read features and intervals .* video v7"):
        ComputationalSequence(path).read("v7")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"r__metadata__root name": "r"},
        {"r__metadata__dimension names": ["not json"]},
        {"r__metadata__dimension names": ['{"a": 1}']},
        {"r__metadata__dimension names": 5},
    ],
)
def test_dimension_names_may_be_absent(tmp_path, metadata):
    path = write_h5(tmp_path / "x.csd", r__data__v__features=[[1.0]], **metadata)
    assert ComputationalSequence(path).dimension_names() is None


def test_no_videos_have_no_width(tmp_path):
    assert ComputationalSequence(write_csd(tmp_path / "x.csd", "r", {"v": ([[1]], [(0, 1)])})).width == 1
    with h5py.File(tmp_path / "y.csd", "w") as file:
        file.create_group("r/data")
    assert ComputationalSequence(tmp_path / "y.csd").width == 0


# --- what can be in a file all the same ---


def csd(path, features, intervals, video="v7", root="r"):
    with h5py.File(path, "w") as file:
        group = file.create_group(f"{root}/data").create_group(video)
        group["features"], group["intervals"] = features, intervals
    return path


def test_a_huge_declared_size_takes_no_memory(tmp_path):
    path = tmp_path / "x.csd"
    with h5py.File(path, "w") as file:
        file.create_dataset("r/data/v/features", (10**12, 74), "f4", chunks=(1000, 74))
        file.create_dataset("r/data/v/intervals", (10**12, 2), "f4", chunks=(1000, 2))
    with pytest.raises(SourceError, match=r"not safe to read in .*: found /r/data/v/\w+ of shape \(10{12}"):
        ComputationalSequence(path)


def test_rows_that_were_never_written_are_not_zeros(tmp_path):
    path = tmp_path / "x.csd"
    with h5py.File(path, "w") as file:
        file.create_dataset("r/data/v/features", (1000, 74), "f4")
        file["r/data/v/intervals"] = np.zeros((1000, 2))
    with pytest.raises(SourceError, match=r"/r/data/v/features lacks a part of its data\. Fetch the file"):
        ComputationalSequence(path)


@pytest.mark.parametrize(
    ("features", "intervals", "message"),
    [
        (h5py.Empty("f4"), [[0.0, 1.0]], r"shapes do not fit .* features without data, intervals \(1, 2\)"),
        ([[1.0]], h5py.Empty("f4"), r"shapes do not fit .* intervals without data"),
        ([[1.0]], [[b"0", b"1"]], r"intervals are not numbers in .*video v7: found .*, expected seconds"),
        (np.zeros((1, 0)), [[0.0, 1.0]], r"shapes do not fit .* features \(1, 0\).* at least one column"),
        (1.0, [[0.0, 1.0]], "shapes do not fit"),
    ],
)
def test_what_is_no_row_of_numbers_is_one_line(tmp_path, features, intervals, message):
    with pytest.raises(SourceError, match=message) as caught:
        ComputationalSequence(csd(tmp_path / "x.csd", features, intervals)).read("v7")
    assert "\n" not in str(caught.value)


def test_intervals_of_variable_texts_are_one_line(tmp_path):
    texts = np.array([["0", "1"]], dtype=h5py.string_dtype())
    with pytest.raises(SourceError, match=r"intervals are not numbers"):
        ComputationalSequence(csd(tmp_path / "x.csd", [[1.0]], texts)).read("v7")


@pytest.mark.parametrize("name", [b"caf\xe9", b"a\nb", b"a\x1b[2J", b"\t"])
def test_a_video_with_an_impossible_name_is_told(tmp_path, name):
    with pytest.raises(
        SourceError, match=r"a root or video whose name cannot be used in .*x\.csd: found b?'"
    ) as e:
        ComputationalSequence(csd(tmp_path / "x.csd", [[1.0]], [[0.0, 1.0]], video=name))
    assert str(e.value).isprintable()


def words_of(path, *words, intervals=None, dtype="S40"):
    encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
    values = np.array(encoded, dtype=dtype).reshape(-1, 1)
    if intervals is None:
        intervals = [(i, i + 1) for i in range(len(words))]
    return ComputationalSequence(csd(path, values, np.array(intervals, float))).read_words("v7")


@pytest.mark.parametrize("dtype", ["S40", h5py.string_dtype()])
def test_words_are_read_from_both_kinds_of_texts(tmp_path, dtype):
    tokens, intervals, lost = words_of(tmp_path / "x.csd", "so", "café", "文", "", dtype=dtype)
    assert tokens == ["so", "café", "文", ""]
    assert intervals.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert lost == []


def test_bytes_that_are_not_utf8_are_replaced_and_listed(tmp_path):
    tokens, _, lost = words_of(tmp_path / "x.csd", b"so", b"caf\xe9", b"\xef\xbf\xbd")
    assert tokens == ["so", "caf\ufffd", "\ufffd"]  # the last one was so in the file
    assert [(drop.id, drop.reason) for drop in lost] == [
        ("v7 word 2", "bytes of b'caf\\xe9' that are not UTF-8 became U+FFFD")
    ]


def test_words_that_do_not_run_forward_are_left_out_and_listed(tmp_path):
    intervals = [(0, 1), (2, 1), (1, np.inf), (np.nan, 3), (3, 3)]
    tokens, kept, lost = words_of(tmp_path / "x.csd", *"abcde", intervals=intervals)
    assert tokens == ["a", "e"]
    assert kept.tolist() == [[0, 1], [3, 3]]
    assert [drop.id for drop in lost] == ["v7 word 2", "v7 word 3", "v7 word 4"]
    assert lost[0].reason == "interval [2, 1] of 'b' does not run forward"


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (np.ones((2, 1), np.float32), "1 columns of float32"),
        (np.ones((2, 1), np.int64), "1 columns of int64"),
        (np.full((2, 2), b"a"), r"2 columns of \|S1"),
    ],
)
def test_words_that_are_no_texts_are_told(tmp_path, features, found):
    path = csd(tmp_path / "x.csd", features, [[0.0, 1.0], [1.0, 2.0]])
    with pytest.raises(SourceError, match=rf"words are not texts in one column in .*video v7: found {found}"):
        ComputationalSequence(path).read_words("v7")


def test_a_word_as_long_as_a_book_is_told(tmp_path):
    assert words_of(tmp_path / "x.csd", "x" * MAX_WORD_BYTES, dtype="S1000")[0] == ["x" * MAX_WORD_BYTES]
    with pytest.raises(SourceError, match=r"word 2 is too long in .*video v7: found 100,000 bytes"):
        words_of(tmp_path / "y.csd", "a", "b" * 100_000, dtype="S100000")
