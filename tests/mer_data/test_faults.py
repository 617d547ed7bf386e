"""What a build and a store survive: full disks, killed processes, two at once, damaged and odd files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import (
    counting_frames,
    files_below,
    make_csd_folder,
    make_store,
    small_corpus,
    with_video,
    write_csd,
)

from mer_data.build import build_store
from mer_data.errors import SourceError, StoreError
from mer_data.files.hdf5_files import CarefulFile, writing_hdf5
from mer_data.files.writing import complete_or_absent, write_text
from mer_data.sources import open_source
from mer_data.store.reader import FeatureStore

BUILD = """
import sys
from pathlib import Path
from mer_data.build import build_store
from mer_data.sources import open_source
build_store(open_source("sample", Path(sys.argv[1])), Path(sys.argv[2]), alignment="unaligned", {options})
"""


def build(source, target, alignment="unaligned"):
    build_store(open_source("sample", source), target, alignment=alignment)
    return FeatureStore.open(target)


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def partials(folder):
    return [path for path in folder.iterdir() if path.name.endswith(".partial")]


# --- a full disk ---

LIMITED = """
import resource, sys
from pathlib import Path
from mer_data.build import build_store
from mer_data.errors import StoreError
from mer_data.sources import open_source
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    build_store(open_source("sample", Path(sys.argv[1])), Path(sys.argv[2]), alignment="unaligned")
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="the limit on file sizes is of Unix")
@pytest.mark.parametrize("limit", [2_000, 60_000, 150_000])
def test_a_write_that_fails_leaves_no_store_and_no_crash(sample_folder, tmp_path, limit):
    (tmp_path / "s.h5").write_text("the old one")
    process = start(LIMITED, sample_folder, tmp_path / "s.h5", limit)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("cannot write s.h5 (File too large) in ")
    assert files_below(tmp_path) == ["s.h5"]
    assert (tmp_path / "s.h5").read_text() == "the old one"


class FullAfter:
    """A file on a disk with room for so many bytes."""

    def __init__(self, path, room):
        self._file, self._room = path.open("w+b", buffering=0), room

    def write(self, data):
        if self._room <= 0:
            raise OSError(28, "No space left on device")
        written = self._file.write(data[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 5000])
def test_hdf5_never_sees_the_full_disk(tmp_path, room):
    careful = CarefulFile(FullAfter(tmp_path / "f", room), tmp_path / "target.h5")
    with h5py.File(careful, "w") as file:
        dataset = file.create_dataset("x", (0,), "f4", maxshape=(None,), chunks=(100,))
        for size in range(500, 20_000, 500):
            dataset.resize(size, axis=0)
            dataset[size - 500 :] = 1.0
    with pytest.raises(StoreError, match=r"cannot write target\.h5 \(No space left on device\) in .* Make"):
        careful.check()


def test_a_file_with_room_is_as_hdf5_writes_it(tmp_path):
    with writing_hdf5(tmp_path / "x.h5") as (file, careful):
        file["x"] = np.arange(5)
        careful.check()
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["x"][()].tolist() == [0, 1, 2, 3, 4]


# --- killed, and two at once ---

SLOWLY = BUILD.format(options="progress=lambda *_: __import__('time').sleep(0.15)")


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited 30 s for nothing")


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of Unix")
def test_a_killed_build_leaves_no_store_and_the_next_one_cleans_up(sample_folder, tmp_path):
    target = tmp_path / "s.h5"
    process = start(SLOWLY, sample_folder, target)
    wait_for(lambda: any(path.stat().st_size > 0 for path in partials(tmp_path)))
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
    (left,) = partials(tmp_path)
    with pytest.raises(StoreError, match=r"not an HDF5 file|truncated|not finished|not a feature store"):
        FeatureStore.open(left)
    store = build(sample_folder, target)
    assert len(store) == 48
    assert files_below(tmp_path) == ["s.h5"]


def test_two_builds_of_one_target_end_well(sample_folder, sample_stores, tmp_path):
    target = tmp_path / "s.h5"
    both = [start(SLOWLY, sample_folder, target) for _ in range(2)]
    wait_for(lambda: len(partials(tmp_path)) == 2)
    for process in both:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    assert target.read_bytes() == sample_stores["unaligned"].read_bytes()
    assert files_below(tmp_path) == ["s.h5"]


def test_two_writers_in_one_process_do_not_meet(tmp_path):
    target = tmp_path / "file"
    with complete_or_absent(target) as first, complete_or_absent(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"
    assert files_below(tmp_path) == ["file"]


def test_only_what_dead_processes_left_for_this_target_is_removed(tmp_path):
    with complete_or_absent(tmp_path / "a.h5") as partial:
        name = partial.name
        partial.write_text("")
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        of_dead = name.replace(f".{os.getpid()}-", f".{dead.pid}-")
        kept = [name, name.replace("a.h5", "b.h5"), of_dead.replace("a.h5", "a.h5.h5"), "a.h5.partial"]
        kept.append(".a.h5.elsewhere.1-0.partial")
        for other in (of_dead, *kept):
            (tmp_path / other).write_text("")
        write_text(tmp_path / "a.h5", "whole")
        assert files_below(tmp_path) == sorted([*kept, "a.h5"])


# --- folders and names ---


def test_a_folder_that_cannot_be_written(sample_folder, tmp_path, monkeypatch):
    """Root may write everywhere, so the refusal is simulated where the tests run as root."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        opened = Path.open

        def refused(self, mode="r", *rest, **options):
            if self.parent == folder and mode != "r":
                raise PermissionError(13, "Permission denied", str(self))
            return opened(self, mode, *rest, **options)

        monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(OSError, match="Permission denied"):
        build(sample_folder, folder / "s.h5")
    monkeypatch.undo()
    folder.chmod(0o700)
    assert files_below(folder) == []


def test_names_with_spaces_and_letters_of_other_alphabets(tmp_path):
    raw = make_csd_folder(tmp_path / "mes données été" / "原始 資料")
    for path in list(raw.glob("*.csd")):
        path.rename(path.with_name(f"{path.stem} für 'uns' 文件.csd"))
    store = build(raw, tmp_path / "Ordner mit Lücken" / "стор ✓.h5")
    assert len(store) == 6
    assert "labels für 'uns' 文件.csd" in store.attribute("sources")
    store.read(range(6))


# --- odd computational sequences ---


def test_frames_out_of_time_order_give_the_same_store(tmp_path):
    values, times = counting_frames(150, 50.0, 3)
    order = np.random.default_rng(0).permutation(150)
    for alignment in ("aligned", "unaligned"):
        plain = build(make_csd_folder(tmp_path / "a"), tmp_path / "a.h5", alignment)
        mixed = with_video(audio=(values[order], times[order]))
        other = build(make_csd_folder(tmp_path / "b", mixed), tmp_path / "b.h5", alignment)
        for index in range(6):
            expected, found = (s.read([index]).streams["audio"].values for s in (plain, other))
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_segments_out_of_time_order_keep_their_rows(tmp_path):
    corpus = with_video(segments=[(1.25, 2.25), (0.0, 1.0)], labels=[-2.0, 1.0])
    store = build(make_csd_folder(tmp_path / "raw", corpus), tmp_path / "s.h5")
    frame = store.utterances.set_index("id")
    assert frame.loc["va$_$1", "text"] == "bad plot indeed"
    assert frame.loc["va$_$2", "text"] == "good film"


@pytest.mark.parametrize("file", ["tone", "words", "labels"])
def test_another_number_of_rows_than_intervals_is_refused(tmp_path, file):
    raw = make_csd_folder(tmp_path / "raw")
    with h5py.File(raw / f"{file}.csd", "r+") as opened:
        group = opened[next(iter(opened))]["data/va"]
        shorter = group["intervals"][:-1]
        del group["intervals"]
        group["intervals"] = shorter
    with pytest.raises(SourceError, match=rf"shapes do not fit in .*{file}\.csd, video va"):
        build(raw, tmp_path / "s.h5")
    assert not partials(tmp_path)


def test_a_video_without_rows_or_missing_in_a_stream_has_empty_frames(tmp_path):
    corpus = with_video(audio=(np.zeros((0, 3), np.float32), np.zeros((0, 2))))
    corpus["vb"].vision = None
    store = build(make_csd_folder(tmp_path / "raw", corpus), tmp_path / "s.h5")
    assert store.lengths("audio").tolist()[:2] == [0, 0]
    assert store.lengths("vision").tolist()[2:4] == [0, 0]
    assert store.attribute("cleaning")["utterances_without_audio"] == 2


def test_a_video_without_labels_has_no_utterances(tmp_path):
    corpus = small_corpus()
    corpus["vd"] = with_video(labels=[], segments=[])["va"]
    store = build(make_csd_folder(tmp_path / "raw", corpus), tmp_path / "s.h5")
    assert set(store.utterances["video_id"]) == {"va", "vb", "vc"}


def test_an_extra_dimension_is_refused(tmp_path):
    raw = make_csd_folder(tmp_path / "raw")
    values, times = counting_frames(150, 50.0, 3)
    write_csd(raw / "tone.csd", "Sample Tone", {"va": (values[:, None, :], times), "vb": (values, times)})
    with pytest.raises(
        SourceError, match=r"shapes do not fit in .*tone\.csd, video va: found features \(150, 1"
    ):
        build(raw, tmp_path / "s.h5")


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_floats_are_taken(tmp_path, dtype):
    values, times = counting_frames(150, 50.0, 3)
    corpus = with_video(audio=((values % 50).astype(dtype), times))
    same = with_video(audio=((values % 50).astype(np.float32), times))
    stores = [
        build(make_csd_folder(tmp_path / str(number), videos), tmp_path / f"{number}.h5")
        for number, videos in enumerate((corpus, same))
    ]
    expected, found = (store.read([0]).streams["audio"].values for store in stores)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


# --- stores whose parts do not fit ---


@pytest.mark.parametrize("place", [0, 3, -1])
@pytest.mark.parametrize("group", ["tokens", "audio", "vision", "words"])
def test_offsets_that_do_not_fit_are_refused(tmp_path, group, place):
    path = make_store(tmp_path).path
    with h5py.File(path, "r+") as file:
        file[f"{group}/offsets"][place] = 10**6
    store = FeatureStore.open(path)
    with pytest.raises(StoreError, match=rf"the store is damaged \({group}/offsets do not"):
        _ = store.read([0]), store.words(0)


def test_a_store_without_its_last_attribute_was_not_finished(tmp_path):
    path = make_store(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file.attrs["content_digest"]
    with pytest.raises(StoreError, match=r"the store was not finished in .* `mer-data build --force`"):
        FeatureStore.open(path)


def test_a_part_that_is_missing_is_told(tmp_path):
    path = make_store(tmp_path).path
    with h5py.File(path, "r+") as file:
        del file["vision/values"]
        del file.attrs["limits"]
    store = FeatureStore.open(path)
    with pytest.raises(StoreError, match="the store is damaged"):
        store.read([0])
    with pytest.raises(StoreError, match="the store is damaged"):
        _ = store.limits
