"""HDF5 files: opened only after a look at their structure, written so that they appear only when complete.

``open_hdf5`` is the one way to open a file for reading.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import h5py

from mer_data.errors import StoreError
from mer_data.files.hdf5_faults import FileKind, cannot_open, check_beginning
from mer_data.files.writing import complete_or_absent

CHECKSUMMED = ("v110", "v110")
"""The format of HDF5 1.10: it finds a chunk faster than the oldest one, and its structures have checksums."""


@dataclass(frozen=True)
class FileIdentity:
    """A file as it was when it was examined; any write gives it another identity."""

    device: int
    number: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def from_path(cls, path: Path) -> FileIdentity:
        """The identity of the file at ``path`` now."""
        found = path.stat()
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


_TRUSTED: set[FileIdentity] = set()
"""Files that this process examined or wrote itself."""


def open_hdf5(path: Path, kind: FileKind, trusted: FileIdentity | None = None) -> h5py.File:
    """Open a file for reading; at the first time its structure is examined in a process of its own.

    The examination (``hdf5_structure``) takes about 0.2 s, and 0.1 ms for each object in the file. Files
    that this process wrote, or opened before, are not examined again.

    Args:
        path: the file.
        kind: what it is supposed to be.
        trusted: from ``identity_if_trusted`` of another process that has examined it.

    Raises:
        MerDataError: of the class of ``kind``: absent, not permitted, not HDF5, truncated, locked, damaged,
            or with links or data outside of the file.
    """
    check_beginning(path, kind)
    identity = FileIdentity.from_path(path)
    if identity == trusted:
        _TRUSTED.add(identity)
    if identity not in _TRUSTED:
        _examine(path, kind)
        _TRUSTED.add(identity)
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise cannot_open(path, kind, str(error)) from error


def identity_if_trusted(path: Path) -> FileIdentity | None:
    """For another process: the identity of a file that this one trusts, else None."""
    try:
        identity = FileIdentity.from_path(path)
    except OSError:
        return None
    return identity if identity in _TRUSTED else None


def _examine(path: Path, kind: FileKind) -> None:
    """Have the structure of a file examined by a process that may be lost."""
    code = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    code += "from mer_data.files import hdf5_structure; hdf5_structure.main(sys.argv[1])"
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as record, tempfile.TemporaryFile() as errors:
        process = subprocess.run(
            [sys.executable, "-I", "-c", code, str(path.absolute()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=record,
            stderr=errors,
            env={**os.environ, **one_thread},
            check=False,
        )
        record.seek(0)
        found = json.loads(record.read() or b"{}")
        errors.seek(0)
        said = errors.read().decode("utf-8", errors="replace").strip().splitlines()
    if "cannot_open" in found:
        raise cannot_open(path, kind, found["cannot_open"])
    for outcome, what in (("refused", "is not safe to read"), ("damaged", "is damaged")):
        if outcome in found:
            raise kind.error(f"{kind.name} {what}", where=path, found=found[outcome], do=kind.again)
    if process.returncode < 0:
        raise kind.error(
            f"{kind.name} is damaged: the HDF5 library crashes or never ends",
            where=path,
            found=f"signal {-process.returncode} at {found.get('at', 'the start')}",
            do=kind.again,
        )
    if process.returncode:
        raise kind.error(f"{kind.name} could not be examined ({(said or ['no message'])[-1]})", where=path)


class CarefulFile:
    """A file for HDF5 that keeps the first failure to itself.

    HDF5 writes from its caches also while it closes, and crashes the process when that fails. Here a
    failed write looks like a good one to HDF5, nothing more is written, and ``check`` raises the failure.
    """

    def __init__(self, handle: FileIO, target: Path) -> None:
        """Write to ``handle``, opened without a buffer, on the way to ``target``."""
        self._handle = handle
        self._target = target
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise when a write has failed.

        Raises:
            StoreError: with the reason of the file system.
        """
        if self._error is not None:
            raise StoreError(
                f"cannot write {self._target.name} ({self._error.strerror})",
                where=self._target.parent,
                do="Make room there, or pass --out to write elsewhere",
            ) from self._error

    def write(self, data: bytes | memoryview) -> int:
        """Write all of ``data``, or nothing after a failure."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self._error is None and written < len(view):
                written += self._handle.write(view[written:])
        except OSError as error:
            self._error = error
        return len(view)

    def truncate(self, size: int) -> int:
        """Cut or extend the file."""
        try:
            if self._error is None:
                self._handle.truncate(size)
        except OSError as error:
            self._error = error
        return size

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes."""
        return self._handle.read(size)

    def readinto(self, buffer: memoryview) -> int:
        """Read into ``buffer``."""
        return self._handle.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place in the file."""
        return self._handle.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._handle.tell()

    def flush(self) -> None:
        """Nothing: there is no buffer."""


@contextmanager
def writing_hdf5(
    target: Path, libver: str | tuple[str, str] | None = None
) -> Iterator[tuple[h5py.File, CarefulFile]]:
    """Yield an HDF5 file in the folder of ``target``, renamed to it when all went well.

    ``libver=CHECKSUMMED`` gives HDF5's own structures checksums too.

    Raises:
        StoreError: the file system took no more.
    """
    with complete_or_absent(target) as partial, partial.open("w+b", buffering=0) as handle:
        careful = CarefulFile(handle, target)
        try:
            with h5py.File(careful, "w", libver=libver) as file:
                yield file, careful
        except (OSError, RuntimeError):
            careful.check()
            raise
        careful.check()
    _TRUSTED.add(FileIdentity.from_path(target))
