import json

import h5py
import numpy as np
import pytest
from builders import files_below, write_csd

from mer_data.errors import SourceError
from mer_data.sources.csd_files import ComputationalSequence, write_computational_sequence

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
    with pytest.raises(SourceError, match="not an HDF5 file"):
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
