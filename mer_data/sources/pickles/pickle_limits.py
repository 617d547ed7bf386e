"""Bounds on the bytes, opcodes, memory and nesting of an untrusted pickle, from the size of its file.

A pickle is a program. A few bytes of it can announce gigabytes, double a value a hundred times, or nest
lists a million deep. Nothing here looks for such tricks one by one: every byte read, every opcode and every
allocation is counted against a budget that the size of the file sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

MAX_DEPTH = 40
"""Containers inside containers. Files of the field have five levels at most."""

_PIECE = 1 << 20
_BASE_BYTES = 1 << 25
_BYTES_PER_FILE_BYTE = 32  # a memorised empty text is some 170 bytes of memory and 6 bytes of file
_BASE_OPCODES = 100_000

_ATOMS = (str, bytes, bytearray, bool, int, float, np.generic, type(None))
_ATOM_BYTES = 8
CONTAINER_BYTES = 64


class PickleRefusedError(Exception):
    """A pickle does what no file of arrays and plain containers needs."""


class BoundedContent:
    """The content of a pickle, perhaps decompressed, of which no more is read than there can be.

    Attributes:
        position: bytes read so far.
    """

    def __init__(self, handle: BinaryIO, size: int, *, exact: bool) -> None:
        """Read from the beginning of ``handle``.

        Args:
            handle: a buffered binary file.
            size: bytes in it, or the most that may be read.
            exact: whether ``size`` is what is in it.
        """
        self._handle, self._size, self._exact = handle, size, exact
        self.position = 0

    def check_left(self, size: int) -> None:
        """Check that ``size`` bytes can be left.

        Raises:
            EOFError: fewer are left for certain.
        """
        left = self._size - self.position
        if self._exact and size > left:
            raise EOFError(f"{size} bytes are announced and {left} are left")

    def read(self, size: int) -> bytes | bytearray:
        """Return exactly ``size`` bytes.

        Raises:
            EOFError: there are fewer. A size that is only claimed reserves no memory.
        """
        self.check_left(size)
        content = self._handle.read(size) if self._exact else self._read_pieces(size)
        self.position += len(content)
        if len(content) != size:
            raise EOFError(f"{size} bytes are announced and {len(content)} are left")
        return content

    def _read_pieces(self, size: int) -> bytes | bytearray:
        """Up to ``size`` bytes; the memory for them grows as they come."""
        first = self._handle.read(min(size, _PIECE))
        if len(first) == size:
            return first
        content = bytearray(first)
        while len(content) < size and (piece := self._handle.read(min(_PIECE, size - len(content)))):
            content += piece
        return content

    def readline(self) -> bytes:
        """Return the bytes up to the next line feed, for the opcodes of protocol 0."""
        line = self._handle.readline(self._size - self.position)
        self.position += len(line)
        return line

    def at_end(self) -> bool:
        """Whether nothing is left; a compressed file is then checked to its end."""
        return not self._handle.read(1)


class Budget:
    """Opcodes and memory that a pickle may take, counted as they are used."""

    def __init__(self, file_bytes: int, content: BoundedContent) -> None:
        """Set the bounds for a file of ``file_bytes`` on disk, and ``content`` that is read from it."""
        self._max_opcodes = _BASE_OPCODES + file_bytes
        self._base = _BASE_BYTES + _BYTES_PER_FILE_BYTE * file_bytes
        self._content = content
        self._num_opcodes = 0
        self._num_bytes = 0

    @property
    def max_bytes(self) -> int:
        """Memory that the values may take: twice what was read, and an allowance for their objects."""
        return self._base + 2 * self._content.position

    def count_opcode(self) -> None:
        """Count one opcode.

        Raises:
            PickleRefusedError: there are more than a file of this size needs.
        """
        self._num_opcodes += 1
        if self._num_opcodes > self._max_opcodes:
            raise PickleRefusedError(f"more than {self._max_opcodes} opcodes")

    def charge(self, num_bytes: int) -> None:
        """Count memory before it is taken.

        Raises:
            PickleRefusedError: it is more than a file of this size needs.
        """
        self._num_bytes += num_bytes
        if self._num_bytes > self.max_bytes:
            raise PickleRefusedError(f"it needs more than {self.max_bytes} bytes of memory")


@dataclass
class _Open:
    """A container that is being looked through: what is left of it, and its bytes and depth so far."""

    identity: int
    parts: Iterator[Any]
    num_bytes: int
    depth: int = 0

    def add(self, num_bytes: int, depth: int) -> None:
        """Count a part that is known."""
        self.num_bytes += num_bytes
        self.depth = max(self.depth, depth)


def check_data(content: Any, max_bytes: int) -> None:
    """Check that ``content`` holds arrays, values and containers of them, and can be written out.

    Parts may be shared: a part is looked at once, and counts wherever it occurs.

    Raises:
        PickleRefusedError: anything else is in it (a dtype or a maker where data should be), it is nested
            too deeply or in itself, or its parts, written out, take more than ``max_bytes``.
    """
    known: dict[int, tuple[int, int]] = {}  # bytes and depth of every container that is finished
    opened = [_Open(0, iter((content,)), 0)]
    while opened:
        current = opened[-1]
        inner = _count_known(current, known)
        if inner is not None:
            opened.append(_Open(id(inner), _parts(inner), _own_bytes(inner)))
        else:
            opened.pop()
            known[current.identity] = (current.num_bytes, current.depth + 1)
            if opened:
                opened[-1].add(*known[current.identity])
        if len(opened) + current.depth > MAX_DEPTH:  # a container in itself never ends, and so comes here
            raise PickleRefusedError(f"containers nested more than {MAX_DEPTH} deep")
        if current.num_bytes > max_bytes:
            raise PickleRefusedError(f"its shared parts, written out, take more than {max_bytes} bytes")


def _count_known(current: _Open, known: dict[int, tuple[int, int]]) -> Any:
    """Count the next parts of a container, up to a container that is not known yet, which is returned."""
    for part in current.parts:
        if isinstance(part, _ATOMS):
            num_bytes = len(part) if isinstance(part, (str, bytes, bytearray)) else 0
            current.num_bytes += _ATOM_BYTES + num_bytes
        elif id(part) in known:
            current.add(*known[id(part)])
        else:
            return part
    return None


def _parts(value: Any) -> Iterator[Any]:
    if type(value) is dict:
        return (part for item in value.items() for part in item)
    if type(value) in (list, tuple, set, frozenset):
        return iter(value)
    if type(value) is np.ndarray:
        return iter(value.ravel().tolist()) if value.dtype.kind == "O" else iter(())
    raise PickleRefusedError(f"{getattr(value, 'what', type(value).__name__)} in place of data")


def _own_bytes(value: Any) -> int:
    return value.nbytes if isinstance(value, np.ndarray) else CONTAINER_BYTES
