"""HDF5 files: opened only after a look at their structure, written so that they appear only when complete.

``open_hdf5`` is the one way to open a file for reading. What is wrong with a file that cannot be opened is
told apart (not HDF5, truncated, locked, not permitted, damaged), each with its own remedy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import h5py

from mer_data.errors import MerDataError, StoreError
from mer_data.files import complete_or_absent

SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHECKSUMMED = ("v110", "v110")
"""The format of HDF5 1.10: it finds a chunk faster than the oldest one, and its structures have checksums."""
_NO_LOCKS = "set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
_SMALLEST = 48  # bytes of the shortest header
_BUSY = ("errno = 11,", "errno = 35,")  # EAGAIN of Linux and of macOS


@dataclass(frozen=True)
class FileKind:
    """What a file is supposed to be, for messages.

    Attributes:
        name: such as "the store".
        error: class of its errors.
        again: how to get a sound one, such as "Build it again with ...".
    """

    name: str
    error: type[MerDataError]
    again: str


@dataclass(frozen=True)
class FileIdentity:
    """A file as it was when it was examined; any write gives it another identity."""

    device: int
    number: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileIdentity:
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
    _look_at(path, kind)
    identity = FileIdentity.of(path)
    if identity == trusted:
        _TRUSTED.add(identity)
    if identity not in _TRUSTED:
        _examine(path, kind)
        _TRUSTED.add(identity)
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise _cannot_open(path, kind, str(error)) from error


def identity_if_trusted(path: Path) -> FileIdentity | None:
    """For another process: the identity of a file that this one trusts, else None."""
    try:
        identity = FileIdentity.of(path)
    except OSError:
        return None
    return identity if identity in _TRUSTED else None


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, also where the rest of it is lost."""
    with path.open("rb") as handle:
        size, place = path.stat().st_size, 0
        while place < max(
            size, 1
        ):  # the header may follow a block of the user: after 512, 1024, 2048, ... bytes
            handle.seek(place)
            if handle.read(len(SIGNATURE)) == SIGNATURE:
                return True
            place = max(512, 2 * place)
    return False


def _look_at(path: Path, kind: FileKind) -> None:
    """The file is there, may be read, and begins as HDF5 does."""
    if not path.is_file():
        raise kind.error(f"{kind.name} is not a file", where=path, do=kind.again)
    try:
        if is_hdf5(path):
            return
        with path.open("rb") as handle:
            head = handle.read(32)
    except PermissionError as error:
        raise kind.error(
            f"{kind.name} may not be read ({error.strerror})",
            where=path,
            do="Ask its owner for permission to read it (chmod +r), or run as a user who has it",
        ) from error
    except OSError as error:
        raise kind.error(
            f"{kind.name} cannot be read ({error.strerror})", where=path, do="Check the disk that it is on"
        ) from error
    found = f"first bytes {head!r}" if head.strip(b"\0") else f"{len(head) or 'no'} bytes of zero"
    raise kind.error(
        f"{kind.name} is not an HDF5 file",
        where=path,
        found=found if head else "an empty file",
        do=kind.again,
    )


def _examine(path: Path, kind: FileKind) -> None:
    """Have the structure of a file examined by a process that may be lost."""
    code = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from mer_data import hdf5_structure"
    code += "; hdf5_structure.main(sys.argv[1])"
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
        raise _cannot_open(path, kind, found["cannot_open"])
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


def _cannot_open(path: Path, kind: FileKind, error: str) -> MerDataError:
    """What an error of HDF5 at opening means, with its remedy."""
    reason = " ".join(error.split())
    if "unable to lock file" in reason:
        if any(number in reason for number in _BUSY):
            holder = _who_locks(path)
            return kind.error(
                f"{kind.name} is locked: another process is writing it",
                where=path,
                found=holder,
                do=f"Wait until it has finished, or end it; if there is none, {_NO_LOCKS}",
            )
        return kind.error(
            f"{kind.name} cannot be locked: the file system has no locks ({_cut(reason)})",
            where=path,
            do=f"To read it without one, {_NO_LOCKS}",
        )
    if "already open for write" in reason or "consistency flags" in reason:
        return kind.error(
            f"{kind.name} is open for writing, or its writer was killed",
            where=path,
            do=f"Wait until its writer has finished; if there is none: {kind.again}",
        )
    sizes = re.search(r"truncated file: eof = (\d+), .*stored_eof = (\d+)", reason)
    if sizes:
        return kind.error(
            f"{kind.name} is truncated",
            where=path,
            found=f"{sizes[1]} bytes",
            expected=f"{sizes[2]} bytes",
            do=kind.again,
        )
    if (size := path.stat().st_size) < _SMALLEST:
        return kind.error(f"{kind.name} is truncated", where=path, found=f"{size} bytes", do=kind.again)
    return kind.error(f"{kind.name} is damaged ({_cut(reason)})", where=path, do=kind.again)


def _cut(reason: str) -> str:
    """The part of HDF5's message that says why, without what it was doing."""
    inner = re.search(r"\((.*)\)$", reason)
    return (inner[1] if inner else reason)[:200]


def _who_locks(path: Path) -> str | None:
    """The process that holds a lock on a file, where Linux knows it."""
    number = path.stat().st_ino
    try:
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()  # 1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF
            if fields[3] == "WRITE" and fields[5].rpartition(":")[2] == str(number):
                name = Path(f"/proc/{fields[4]}/comm").read_text(encoding="utf-8").strip()
                return f"process {fields[4]} ({name})"
    except (OSError, LookupError, UnicodeDecodeError):
        return None
    return None


class CarefulFile:
    """A file for HDF5 that keeps the first failure to itself.

    HDF5 writes from its caches also while it closes, and crashes the process when that fails. Here a
    failed write looks like a good one to HDF5, nothing more is written, and ``check`` tells the writer.
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
    """An HDF5 file beside ``target``, renamed to it when all went well.

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
    _TRUSTED.add(FileIdentity.of(target))
