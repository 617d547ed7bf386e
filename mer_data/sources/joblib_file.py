"""Pickles as joblib writes them: perhaps compressed, with the bytes of every array between the opcodes.

joblib puts a ``NumpyArrayWrapper`` (shape, dtype, order) where an array stands, and the raw bytes of the
array after it; newer versions put padding before the bytes so that they can be mapped into memory. The
wrapper's name stands for a harmless class here, and the rest is as strict as ``safe_pickle``.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickle
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.safe_pickle import (
    RestrictedUnpickler,
    SafeArray,
    SafeDtype,
    checked_bytes,
    find_safe,
    pickle_errors,
    plain_only,
)

_WRAPPER_NAME = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_CHUNK = 1 << 20
_LZMA_MEMORY = 1 << 30

MAX_RATIO = 200
MIN_LIMIT = 1 << 28
"""A file may grow to ``MAX_RATIO`` times its size, and to ``MIN_LIMIT`` bytes in any case."""

_ENGINES: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
}
"""First bytes of every compression that is read; none of them can begin a pickle."""

_UNREAD = {b"\x04\x22\x4d\x18": "lz4", b"ZF": "joblib before 0.10", b"\x28\xb5\x2f\xfd": "zstandard"}


def read_arrays(path: Path, *, max_bytes: int | None = None) -> Any:
    """Load a pickle, or a file of ``joblib.dump``, of numpy arrays and plain containers; run nothing.

    Args:
        path: the file, perhaps compressed with zlib, gzip, bz2, xz or lzma.
        max_bytes: how much a compressed file may become; None: see ``MAX_RATIO``.

    Raises:
        SourceError: the file is missing or truncated, names any other class (which is told), is compressed
            in another way, or becomes too large.
    """
    with pickle_errors(path), path.open("rb") as handle:
        magic = handle.peek(8)[:8]
        for begin, tool in _UNREAD.items():
            if magic.startswith(begin):
                raise SourceError(
                    f"a file compressed with {tool} is not read",
                    where=path,
                    do="Decompress it with its own tool, or save it again with joblib.dump(..., compress=3)",
                )
        for begin, make in _ENGINES.items():
            if magic.startswith(begin):
                limit = max(MIN_LIMIT, MAX_RATIO * path.stat().st_size) if max_bytes is None else max_bytes
                raw = _Decompressed(handle, make, limit, path)
                return plain_only(_JoblibUnpickler(io.BufferedReader(raw, _CHUNK)).load())
        try:
            return plain_only(_PlainUnpickler(handle).load())
        except _IsJoblibError:
            handle.seek(0)
            return plain_only(_JoblibUnpickler(handle).load())


class _IsJoblibError(Exception):
    """The file that is read as a plain pickle is one of joblib."""


class _PlainUnpickler(RestrictedUnpickler):
    """The fast reader, until the first array of joblib."""

    def find_class(self, module: str, name: str) -> Any:
        """As the restricted reader; joblib's wrapper ends the attempt."""
        if (module, name) == _WRAPPER_NAME:
            raise _IsJoblibError
        return super().find_class(module, name)


class _ArrayWrapper:
    """Stands where joblib's wrapper stood; it takes no state of its own."""

    __slots__ = ()


class _InlineUnpickler(pickle._Unpickler):
    """Reads not one byte further than its pickle. Only our own makers take a state.

    Slower than the other reader, which reads ahead; array bytes do not pass through it.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    read: Callable[[int], bytes]  # set by ``load``: the file behind the frames of the pickle
    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:
        """Return what an admitted name stands for, or refuse with the name."""
        return find_safe(module, name)

    def load_build(self) -> None:
        """BUILD: the object below the top of the stack takes the state on top."""
        if type(self.stack[-2]) not in (SafeDtype, SafeArray):
            raise pickle.UnpicklingError(f"refused state of {type(self.stack[-2]).__name__}")
        state = self.stack.pop()
        self.stack[-1].__setstate__(state)

    dispatch[pickle.BUILD[0]] = load_build


class _JoblibUnpickler(_InlineUnpickler):
    """Reads the arrays that follow joblib's wrappers."""

    dispatch: ClassVar[dict[int, Any]] = dict(_InlineUnpickler.dispatch)

    def __init__(self, file: BinaryIO | io.BufferedReader) -> None:
        """Read from ``file``, from where it is."""
        super().__init__(file)
        self._file = file

    def find_class(self, module: str, name: str) -> Any:
        """As the restricted reader, and the wrapper."""
        return _ArrayWrapper if (module, name) == _WRAPPER_NAME else find_safe(module, name)

    def load_build(self) -> None:
        """BUILD: a wrapper is replaced by its array."""
        if type(self.stack[-2]) is not _ArrayWrapper:
            super().load_build()
            return
        state = self.stack.pop()
        self.stack[-1] = self._read_array(state)

    dispatch[pickle.BUILD[0]] = load_build

    def _read_array(self, state: dict[str, Any]) -> NDArray[Any]:
        """The array of a wrapper's state (shape, dtype, order, alignment)."""
        dtype, shape, order = state["dtype"], state["shape"], state["order"]
        if not isinstance(dtype, SafeDtype) or state["subclass"] != "ndarray" or order not in ("C", "F"):
            raise pickle.UnpicklingError("an array of a kind that is not read")
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise pickle.UnpicklingError("an array without a shape")
        if dtype.dtype.kind == "O":
            array = _InlineUnpickler(self._file).load()
            if not isinstance(array, np.ndarray) or array.shape != tuple(shape):
                raise pickle.UnpicklingError("an array whose content does not fit its shape")
            return array
        if state.get("numpy_array_alignment_bytes") is not None:
            self._read_all(self._read_all(1)[0])
        content = self._read_all(prod(shape) * dtype.dtype.itemsize)
        if not content:
            return np.zeros(shape, dtype.dtype)
        return np.frombuffer(checked_bytes(dtype, content), dtype.dtype).reshape(shape, order=order)

    def _read_all(self, size: int) -> bytearray:
        """``size`` bytes, in pieces: a damaged size must not reserve memory before the file ends."""
        content = bytearray()
        while len(content) < size:
            piece = self.read(min(_CHUNK, size - len(content)))
            if not piece:
                raise EOFError("the bytes of an array end too early")
            content += piece
        return content


class _Decompressed(io.RawIOBase):
    """The content of a compressed file, at most ``limit`` bytes of it."""

    def __init__(self, handle: BinaryIO, make: Callable[[], Any], limit: int, path: Path) -> None:
        self._handle = handle
        self._make, self._engine = make, make()
        self._pending = b""
        self._limit, self._num_bytes = limit, 0
        self._path = path

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as one step of decompression goes; 0 at the end."""
        while True:
            if self._engine.eof:
                self._pending = self._engine.unused_data or self._handle.read(_CHUNK)
                if not self._pending:
                    return 0
                self._engine = self._make()
            ended = False
            if not self._pending and getattr(self._engine, "needs_input", True):
                self._pending = self._handle.read(_CHUNK)
                ended = not self._pending
            content = self._engine.decompress(self._pending, len(buffer))
            self._pending = getattr(self._engine, "unconsumed_tail", b"")
            if content:
                self._count(len(content))
                buffer[: len(content)] = content
                return len(content)
            if ended and not self._engine.eof:
                raise EOFError("the compressed file ends too early")

    def _count(self, size: int) -> None:
        self._num_bytes += size
        if self._num_bytes > self._limit:
            raise SourceError(
                "the compressed file becomes too large",
                where=self._path,
                found=f"more than {self._limit} bytes",
                do="Where you trust the file, decompress it with its own tool and pass the result",
            )
