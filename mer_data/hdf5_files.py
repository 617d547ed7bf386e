"""Writing HDF5 files that appear only when complete, also where the disk fills up on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import h5py

from mer_data.errors import StoreError
from mer_data.files import complete_or_absent


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
