"""The faults of an HDF5 file that cannot be opened, each with its own remedy.

Not HDF5, truncated, locked, open for writing, not permitted and damaged files need different things done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mer_data.errors import MerDataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NO_LOCKS = "set the environment variable HDF5_USE_FILE_LOCKING=FALSE"
_SMALLEST = 48  # bytes of the shortest header
_BUSY = ("errno = 11,", "errno = 35,")  # EAGAIN of Linux and of macOS


@dataclass(frozen=True)
class FileKind:
    """The expected kind of a file, for messages.

    Attributes:
        name: such as "the store".
        error: class of its errors.
        again: how to get a sound one, such as "Build it again with ...".
    """

    name: str
    error: type[MerDataError]
    again: str


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


def check_beginning(path: Path, kind: FileKind) -> None:
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


def cannot_open(path: Path, kind: FileKind, error: str) -> MerDataError:
    """Return the error that HDF5's message at opening means, with its remedy."""
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
