"""Opening HDF5 files: what leaves the file, never ends or takes too much is refused; faults told apart."""

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import StoreError
from mer_data.files import hdf5_files, hdf5_structure
from mer_data.files.hdf5_faults import FileKind, is_hdf5
from mer_data.files.hdf5_files import CHECKSUMMED, identity_if_trusted, open_hdf5, writing_hdf5
from mer_data.store.reader import FeatureStore

KIND = FileKind("the store", StoreError, "Build it again")


def written(path, change=None, **options):
    """A small file, with what ``change`` adds to it."""
    with h5py.File(path, "w", **options) as file:
        file["inner/numbers"] = np.arange(6.0)
        file["inner"].attrs["name"] = "of the group"
        file.create_dataset("names", data=np.array(["one", "two"], dtype=h5py.string_dtype()))
        if change is not None:
            change(file)
    return path


def refusal(path):
    with pytest.raises(StoreError) as caught:
        open_hdf5(path, KIND).close()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def examined(monkeypatch):
    """The files examined so far."""
    paths = []
    examine = hdf5_files._examine

    def counting(path, kind):
        paths.append(path.name)
        examine(path, kind)

    monkeypatch.setattr(hdf5_files, "_examine", counting)
    return paths


def test_a_sound_file_is_opened(tmp_path):
    with open_hdf5(written(tmp_path / "x.h5"), KIND) as file:
        assert file["inner/numbers"][()].tolist() == [0, 1, 2, 3, 4, 5]
        assert file.mode == "r"


@pytest.mark.parametrize("libver", [None, CHECKSUMMED])
def test_groups_in_a_circle_and_soft_links_that_lead_somewhere_are_sound(tmp_path, libver):
    def change(file):
        file["inner/outer"] = file["/"]
        file["soft"] = h5py.SoftLink("/inner/outer/inner/numbers")
        file["many"] = np.zeros((300, 3))
        file.create_dataset("chunked", data=np.ones((5, 2)), chunks=(2, 2), fletcher32=True)
        file["empty"] = h5py.Empty("f4")
        file["type"] = np.dtype("f4")
        file["reference"] = file["many"].ref

    with open_hdf5(written(tmp_path / "x.h5", change, libver=libver), KIND) as file:
        assert file["soft"].shape == (6,)


# --- what leaves the file ---


def external_link(file):
    file["inner/away"] = h5py.ExternalLink("other.h5", "/secret")


def dangling_link(file):
    file["inner/away"] = h5py.SoftLink("/nowhere")


def circular_link(file):
    file["a"] = h5py.SoftLink("/b")
    file["b"] = h5py.SoftLink("/a")


def link_through_another_file(file):
    file["z"] = h5py.ExternalLink("other.h5", "/")
    file["inner/away"] = h5py.SoftLink("/z/secret")


def external_storage(file):
    file.create_dataset("inner/away", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (4,))
    file.create_virtual_dataset("inner/away", layout)


def virtual_dataset_of_its_own_file(file):
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(".", "inner/numbers", (6,))
    file.create_virtual_dataset("inner/away", layout)


AWAY = {
    "external link": (external_link, "/inner/away is an external link to /secret in another file, other.h5"),
    "dangling link": (dangling_link, "/inner/away is a soft link to /nowhere, which leads nowhere"),
    "circular links": (circular_link, "/a is a soft link to /b, which leads nowhere"),
    "through another file": (link_through_another_file, "/z is an external link to / in another file"),
    "external storage": (
        external_storage,
        "/inner/away has its data in another file, /etc/hostname (external storage)",
    ),
    "virtual dataset": (virtual_dataset, "/inner/away is a virtual dataset of other files (other.h5)"),
    "virtual dataset of its own": (virtual_dataset_of_its_own_file, "/inner/away is a virtual dataset"),
}


@pytest.mark.parametrize("name", AWAY)
@pytest.mark.parametrize("libver", [None, CHECKSUMMED], ids=["oldest", "checksummed"])
def test_what_leaves_the_file_is_refused_by_name(tmp_path, name, libver):
    written(tmp_path / "other.h5", lambda file: file.create_dataset("secret", data=np.ones(4)))
    change, message = AWAY[name]
    said = refusal(written(tmp_path / "x.h5", change, libver=libver))
    assert said.startswith(f"the store is not safe to read in {tmp_path / 'x.h5'}: found ")
    assert message in said
    assert said.endswith("Build it again.")


def test_a_store_whose_frames_are_in_another_file_is_refused(sample_stores, tmp_path):
    for name in ("x.h5", "other.h5"):
        (tmp_path / name).write_bytes(sample_stores["unaligned"].read_bytes())
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        del file["audio/values"]
        file["audio/values"] = h5py.ExternalLink("other.h5", "/audio/values")
    with pytest.raises(StoreError, match=r"not safe to read in .*: found /audio/values is an external link"):
        FeatureStore.open(tmp_path / "x.h5")


# --- sizes ---


def huge_without_data(file):
    file.create_dataset("inner/huge", (10**12, 8), "f8", chunks=(1000, 8))


def huge_contiguous(file):
    file.create_dataset("inner/huge", (10**12,), "f8")


def bomb(file):
    file.create_dataset("inner/huge", data=np.zeros(10**8, "u1"), compression="gzip", chunks=(10**7,))


def huge_chunk(file):
    file.create_dataset("inner/huge", (3,), "u1", maxshape=(None,), chunks=(3 * 10**9,), compression="gzip")


@pytest.mark.parametrize("change", [huge_without_data, huge_contiguous, bomb, huge_chunk])
def test_a_shape_that_the_file_cannot_hold_is_refused(tmp_path, change):
    said = refusal(written(tmp_path / "x.h5", change))
    assert "found /inner/huge of shape (" in said
    assert "bytes, more than a file of this size can hold. Build it again." in said


def test_strings_that_share_their_bytes_are_refused(tmp_path):
    """Every row of the dataset is given the address of one long string."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = np.array(["x" * 10**6] + ["y"] * 99, dtype=h5py.string_dtype())
        place = file.create_dataset("texts", data=data).id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + 16 * 100] = content[place : place + 16] * 100
    path.write_bytes(content)
    assert "/texts of shape (100,) claims 100,000,000 bytes" in refusal(path)


def lacking_chunks(file):
    file.create_dataset("inner/part", (10,), "f8", chunks=(2,))[:4] = 1


def never_written(file):
    file.create_dataset("inner/part", (10,), "f8")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lacking_chunks, "found /inner/part lacks a part of its data: it has 2 of 5 chunks"),
        (never_written, "found /inner/part lacks a part of its data. "),
    ],
)
def test_data_that_is_not_there_is_not_read_as_zeros(tmp_path, change, found):
    said = refusal(written(tmp_path / "x.h5", change))
    assert said.startswith("the store is damaged in ")
    assert found in said


def test_a_filter_that_is_not_known_is_refused(tmp_path):
    said = refusal(
        written(tmp_path / "x.h5", lambda file: file.create_dataset("x", data=np.arange(9), scaleoffset=0))
    )
    assert "/x is packed with filter 6; known are (1, 2, 3, 32000)" in said


@pytest.mark.parametrize("size", [0, 1, 51, 53, 2**31])
def test_a_chunk_of_an_impossible_size_is_told(tmp_path, size):
    """A chunk that is shorter than its own checksum crashes the HDF5 library."""
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.ones((3, 4), "f4"), chunks=(3, 4), fletcher32=True)
    content = bytearray(path.read_bytes())
    key = content.index(b"TREE\x01") + 24  # size and filter mask of the first chunk in the index
    assert content[key : key + 8] == (52).to_bytes(8, "little")
    content[key : key + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert "found /x has an impossible chunk, number 1 of 1" in refusal(path)


def test_data_that_compresses_well_is_sound(tmp_path):
    def change(file):
        file.create_dataset("zeros", data=np.zeros(10**6), compression="gzip")

    open_hdf5(written(tmp_path / "x.h5", change), KIND).close()


# --- reading that never ends, and crashes ---


def circle(path):
    """Clear the heap that holds the strings: the HDF5 library looks for one of them for ever."""
    with h5py.File(path, "w") as file:
        file.create_dataset("names", data=np.array(["one", "two"], dtype=h5py.string_dtype()))
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL")
    content[place + 16 : place + 200] = bytes(184)
    path.write_bytes(content)
    return path


@pytest.mark.skipif(os.name != "posix", reason="processor time is limited by a timer of Unix")
def test_a_file_that_never_ends_is_refused_in_seconds(tmp_path):
    path = circle(tmp_path / "x.h5")
    code = f"import h5py; h5py.File({str(path)!r})['names'][()]"
    with pytest.raises(subprocess.TimeoutExpired):  # as it is: without the examination this hangs
        subprocess.run([sys.executable, "-c", code], timeout=2, check=False)
    start = time.process_time()
    said = refusal(path)
    assert time.process_time() - start < 1
    assert "the store is damaged: the HDF5 library crashes or never ends in " in said
    assert "at /names. Build it again." in said


@pytest.mark.parametrize("ending", ["os.abort()", "os.kill(os.getpid(), 11)"])
def test_a_crash_of_the_library_is_told(tmp_path, monkeypatch, ending):
    module = tmp_path / "mer_data" / "files"
    module.mkdir(parents=True)
    for package in (module.parent, module):
        (package / "__init__.py").write_text("")
    (module / "hdf5_structure.py").write_text(f"import os\ndef main(path):\n    {ending}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert "the HDF5 library crashes or never ends" in refusal(written(tmp_path / "x.h5"))


def test_an_examination_that_cannot_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    assert "the store could not be examined (" in refusal(written(tmp_path / "x.h5"))


def read_one(name, item):
    """Attributes, and strings of variable length; numbers are the readers' own affair."""
    list(item.attrs.items())
    if isinstance(item, h5py.Dataset) and item.dtype.hasobject:
        item[()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_after_any_damage_the_structure_can_be_read_or_the_file_is_refused(tmp_path, data):
    path = written(tmp_path / "x.h5", libver=data.draw(st.sampled_from([None, CHECKSUMMED])))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(piece)] = piece
    path.write_bytes(content)
    try:
        file = open_hdf5(path, KIND)
    except StoreError:
        return
    with file:
        file.visititems(read_one)


# --- examined once ---


def test_a_file_is_examined_once_until_it_changes(tmp_path, examined):
    path = written(tmp_path / "x.h5")
    for _ in range(3):
        open_hdf5(path, KIND).close()
    assert examined == ["x.h5"]
    with h5py.File(path, "r+") as file:
        file["more"] = 1
    open_hdf5(path, KIND).close()
    assert examined == ["x.h5", "x.h5"]


def test_a_file_that_this_process_wrote_is_not_examined(tmp_path, examined):
    with writing_hdf5(tmp_path / "x.h5") as (file, _):
        file["x"] = 1
    open_hdf5(tmp_path / "x.h5", KIND).close()
    assert examined == []


def test_another_process_takes_over_what_was_examined(tmp_path, examined, monkeypatch):
    path = written(tmp_path / "x.h5")
    assert identity_if_trusted(path) is None
    open_hdf5(path, KIND).close()
    identity = pickle.loads(pickle.dumps(identity_if_trusted(path)))
    monkeypatch.setattr(hdf5_files, "_TRUSTED", set())  # as in a new process
    open_hdf5(path, KIND, identity).close()
    assert examined == ["x.h5"]
    path.write_bytes(path.read_bytes())
    open_hdf5(path, KIND, identity).close()
    assert examined == ["x.h5", "x.h5"]


def test_a_store_that_travels_is_not_examined_again(sample_stores, tmp_path, examined, monkeypatch):
    path = tmp_path / "x.h5"
    path.write_bytes(sample_stores["unaligned"].read_bytes())
    packed = pickle.dumps(FeatureStore.open(path))
    monkeypatch.setattr(hdf5_files, "_TRUSTED", set())
    assert len(pickle.loads(packed)) == 48
    assert examined == ["x.h5"]


# --- what cannot be opened ---


def test_what_is_absent_or_a_folder_is_told(tmp_path):
    assert refusal(tmp_path / "x.h5") == f"the store is not a file in {tmp_path / 'x.h5'}. Build it again."
    assert refusal(tmp_path).startswith("the store is not a file in ")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found an empty file"),
        (bytes(100), "found 32 bytes of zero"),
        (b"<html>gone</html>", r"found first bytes b'<html>gone</html>'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "found first bytes b'version https://git-lfs"),
    ],
)
def test_what_is_no_hdf5_is_told_by_its_beginning(tmp_path, content, found):
    (tmp_path / "x.h5").write_bytes(content)
    said = refusal(tmp_path / "x.h5")
    assert said.startswith("the store is not an HDF5 file in ")
    assert found in said


def test_a_header_after_a_block_of_the_user_is_found(tmp_path):
    path = written(tmp_path / "x.h5", userblock_size=1024)
    assert is_hdf5(path)
    open_hdf5(path, KIND).close()


@pytest.mark.parametrize("kept", [60, 0.5, -1])
def test_a_truncated_file_is_told_with_both_sizes(tmp_path, kept):
    path = written(tmp_path / "x.h5")
    content = path.read_bytes()
    size = int(len(content) * kept) if isinstance(kept, float) else len(content[:kept])
    path.write_bytes(content[:size])
    said = refusal(path)
    assert said.endswith(f"found {size} bytes, expected {len(content)} bytes. Build it again.")
    assert said.startswith("the store is truncated in ")


def test_a_file_that_ends_in_its_header_is_truncated(tmp_path):
    path = written(tmp_path / "x.h5")
    path.write_bytes(path.read_bytes()[:9])
    assert refusal(path) == f"the store is truncated in {path}: found 9 bytes. Build it again."


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux tells who holds a lock")
def test_a_locked_file_is_told_with_its_holder_and_not_as_damaged(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = written(tmp_path / "x.h5")
    with path.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        said = refusal(path)
    assert said.startswith(f"the store is locked: another process is writing it in {path}: found process ")
    assert f"found process {os.getpid()} (" in said
    assert "Wait until it has finished, or end it" in said
    assert "HDF5_USE_FILE_LOCKING=FALSE" in said
    assert "again" not in said
    open_hdf5(path, KIND).close()


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    path = written(tmp_path / "x.h5")
    open_hdf5(path, KIND).close()

    def no_locks(*_):
        raise OSError("Unable to open file (unable to lock file, errno = 37, error message = 'No locks')")

    monkeypatch.setattr(h5py, "File", no_locks)
    said = refusal(path)
    assert said.startswith("the store cannot be locked: the file system has no locks (unable to lock file")
    assert said.endswith("To read it without one, set the environment variable HDF5_USE_FILE_LOCKING=FALSE.")


def test_a_file_without_permission_is_told_with_the_remedy(tmp_path, monkeypatch):
    """Root may read everything, so the refusal of the system is simulated."""
    path = written(tmp_path / "x.h5")
    opened = Path.open

    def refused(self, *arguments, **options):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    said = refusal(path)
    assert said.startswith(f"the store may not be read (Permission denied) in {path}. Ask its owner for")
    assert "again" not in said


def test_a_disk_that_fails_is_told(tmp_path, monkeypatch):
    path = written(tmp_path / "x.h5")

    def failing(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", failing)
    assert "the store cannot be read (Input/output error) in " in refusal(path)


def test_a_file_that_is_open_for_writing_is_told(tmp_path):
    code = f"""
import h5py, os
file = h5py.File({str(tmp_path / "x.h5")!r}, "w", libver=("v110", "v110"))
file["x"] = 1
file.flush()
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    said = refusal(tmp_path / "x.h5")
    assert said.startswith("the store is open for writing, or its writer was killed in ")


def test_damage_that_hdf5_notices_is_told_with_its_place(tmp_path):
    path = written(tmp_path / "x.h5", libver=CHECKSUMMED)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        place = h5py.h5o.get_info(file["inner"].id).addr
    content[place + 6] ^= 1
    path.write_bytes(content)
    assert "the store is damaged in " in (said := refusal(path))
    assert "found /inner cannot be read (" in said


def test_the_examination_notes_where_it_is(tmp_path):
    places = []
    hdf5_structure.examine(written(tmp_path / "x.h5"), places.append)
    assert sorted(places) == ["/", "/inner", "/inner/numbers", "/names"]
