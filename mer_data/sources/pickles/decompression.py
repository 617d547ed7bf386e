"""Compressed files as streams that end at a limit, whatever they could become."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from mer_data.errors import SourceError

_INPUT = 1 << 16  # what follows a finished stream is copied: small pieces keep many tiny streams cheap
_BUFFER = 1 << 20
_LZMA_MEMORY = 1 << 27

_ENGINES: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    b"\x78": zlib.decompressobj,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
    b"\x5d\x00": lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY),
}
"""First bytes of every compression that is read; none of them can begin a pickle."""

_UNREAD = {b"\x04\x22\x4d\x18": "lz4", b"ZF": "joblib before 0.10", b"\x28\xb5\x2f\xfd": "zstandard"}

COMPRESSED_HEADS = tuple(_ENGINES)


def decompressed(handle: io.BufferedReader, path: Path, limit: int) -> io.BufferedReader | None:
    """Return the content of a compressed file as a buffered stream; None where it is not compressed.

    Args:
        handle: the file, at its beginning.
        path: its name in messages.
        limit: bytes that the content may have.

    Raises:
        SourceError: compressed in a way that is not read; while reading, a content that becomes too large.
    """
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
            return io.BufferedReader(_Decompressed(handle, make, limit, path), _BUFFER)
    return None


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
                self._pending = self._engine.unused_data or self._handle.read(_INPUT)
                if not self._pending:
                    return 0
                self._engine = self._make()
            ended = False
            if not self._pending and getattr(self._engine, "needs_input", True):
                self._pending = self._handle.read(_INPUT)
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
