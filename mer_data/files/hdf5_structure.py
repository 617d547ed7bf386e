"""Looking at the structure of an HDF5 file from outside: nothing in it is trusted yet.

The HDF5 library follows what a file says: a damaged heap can send it round in a circle for ever or crash
the process, a link or a layout can make it read other files, and a shape decides how much memory a read
takes. So the first look at a file happens in a process of its own (``main``), which walks through
everything that a reader will meet and may be ended at any point; ``hdf5_files`` starts it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o, h5p, h5z
from numpy.typing import NDArray

from mer_data.errors import DAMAGE

RECORD_BYTES = 4096
"""Size of the one record that the process leaves: where it is, or what it found."""
STEP_SECONDS = 2
"""Processor time for one object; a sound one takes milliseconds."""
_BYTES_PER_SECOND = 50 << 20
_SPARE_MEMORY = 1 << 30
_ALWAYS_ALLOWED = 64 << 20
_MAX_RATIO = 50


class RefusedError(Exception):
    """The file would take a reader somewhere else, or take more than its size allows."""


class DamagedError(Exception):
    """A part of the structure cannot be read."""


def examine(path: Path, step: Callable[[str], None]) -> None:
    """Walk through every link, object and attribute of a file, and read the strings that heaps hold.

    Only numbers and strings of fixed length are left to the reader: HDF5 copies them as they are.

    Args:
        path: the file.
        step: called before each object with its place in the file.

    Raises:
        RefusedError: a link leaves the file or leads nowhere, data is outside of the file, or something
            claims more bytes than the file can hold.
        DamagedError: something in the file cannot be read, or a part of it is not there.
        OSError: the file cannot be opened.
    """
    file_size = path.stat().st_size
    allowed = max(_ALWAYS_ALLOWED, _MAX_RATIO * file_size)
    step("/")
    with h5py.File(path, "r") as file:
        for place, item in _objects(file.id, step):
            with _damage_at(place):
                _check_attributes(place, item, allowed)
                if isinstance(item, h5d.DatasetID):
                    _check_dataset(place, item, allowed, file_size)


@contextmanager
def _damage_at(place: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DamagedError(f"{place} cannot be read ({' '.join(str(error).split())})") from error


def _objects(root: h5g.GroupID, step: Callable[[str], None]) -> Iterator[tuple[str, h5o.ObjectID]]:
    """Every object once with its place, also where groups contain each other."""
    open_groups: list[tuple[str, h5g.GroupID]] = [("/", root)]
    soft_links: list[tuple[str, h5g.GroupID, bytes]] = []
    seen = {h5o.get_info(root).addr}
    yield "/", root
    while open_groups:
        outer, group = open_groups.pop()
        names: list[bytes] = []
        with _damage_at(outer):
            group.links.iterate(names.append)
        for name in names:
            place = f"{outer.rstrip('/')}/{_text(name)}"
            step(place)
            with _damage_at(place):
                if _is_soft(place, group, name):
                    soft_links.append((place, group, name))
                    continue
                item = h5o.open(group, name)
                address = h5o.get_info(item).addr
            # Hard links may make groups contain each other: an object is known by its address, not its path.
            if address not in seen:
                seen.add(address)
                yield place, item
                if isinstance(item, h5g.GroupID):
                    open_groups.append((place, item))
    # Last, when it is known that no external link lies on their way.
    for place, group, name in soft_links:
        step(place)
        _check_soft(place, group, name)


def _is_soft(place: str, group: h5g.GroupID, name: bytes) -> bool:
    """Whether a link is soft; one that leaves the file is refused."""
    kind = group.links.get_info(name).type
    if kind == h5l.TYPE_EXTERNAL:
        file, target = group.links.get_val(name)
        raise RefusedError(f"{place} is an external link to {_text(target)} in another file, {_text(file)}")
    if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
        raise RefusedError(f"{place} is a link of an unknown kind ({kind})")
    return bool(kind == h5l.TYPE_SOFT)


def _check_soft(place: str, group: h5g.GroupID, name: bytes) -> None:
    """A soft link leads to an object."""
    target = _text(group.links.get_val(name))
    try:
        h5o.open(group, name)
    except DAMAGE as error:
        raise RefusedError(f"{place} is a soft link to {target}, which leads nowhere") from error


def _check_attributes(place: str, item: h5o.ObjectID, allowed: int) -> None:
    """Attributes can be read, and are small enough to be."""
    attributes = h5py.AttributeManager(_Holder(item))
    for name in list(attributes):
        opened = attributes.get_id(name)
        claimed = max(prod(opened.shape or ()) * opened.dtype.itemsize, opened.get_storage_size())
        # Strings of variable length lie in a heap: only reading them shows their size.
        if claimed <= allowed:
            claimed = _size_of(np.asarray(attributes[name]))
        if claimed > allowed:
            raise RefusedError(f"attribute {name} of {place} claims {claimed:,} bytes, {_MORE}")


class _Holder:
    """An object in the form that ``AttributeManager`` expects."""

    def __init__(self, item: h5o.ObjectID) -> None:
        self.id = item


def _check_dataset(place: str, dataset: h5d.DatasetID, allowed: int, file_size: int) -> None:
    """All data lies in this file, where the dataset says; strings of variable length can be read."""
    created = dataset.get_create_plist()
    if created.get_layout() == h5d.VIRTUAL:
        sources = sorted({_text(created.get_virtual_filename(i)) for i in range(created.get_virtual_count())})
        raise RefusedError(f"{place} is a virtual dataset of other files ({', '.join(sources)})")
    if created.get_external_count():
        name = _text(created.get_external(0)[0])
        raise RefusedError(f"{place} has its data in another file, {name} (external storage)")
    dtype, shape = dataset.dtype, dataset.shape
    claimed = 0 if shape is None else prod(shape) * dtype.itemsize
    if created.get_layout() == h5d.CHUNKED:
        # Reading unpacks whole chunks, however few of their rows are in use.
        claimed = max(claimed, prod(created.get_chunk()) * dtype.itemsize)
    if claimed > allowed:
        raise RefusedError(f"{place} of shape {shape} claims {claimed:,} bytes, {_MORE}")
    if created.get_layout() == h5d.CHUNKED:
        _check_chunks(place, dataset, created, file_size)
    elif created.get_layout() == h5d.CONTIGUOUS and claimed:
        start = dataset.get_offset()
        if start is None or dataset.get_storage_size() < claimed or start + claimed > file_size:
            raise DamagedError(f"{place} lacks a part of its data")
    if dtype.hasobject:
        read = _size_of(np.asarray(h5py.Dataset(dataset)[()]))
        if read > allowed:
            raise RefusedError(f"{place} of shape {shape} claims {read:,} bytes, {_MORE}")


def _check_chunks(place: str, dataset: h5d.DatasetID, created: h5p.PropDCID, file_size: int) -> None:
    """Every chunk is there once, in the file, and as large as its filters can have made it."""
    filters = [created.get_filter(index)[0] for index in range(created.get_nfilters())]
    if foreign := sorted(set(filters) - set(_FILTERS)):
        raise RefusedError(f"{place} is packed with filter {foreign[0]}; known are {_FILTERS}")
    chunk, shape = created.get_chunk(), dataset.shape
    unpacked = prod(chunk) * dataset.dtype.itemsize
    found = 0

    def wrong(info: h5d.StoreInfo) -> bool | None:
        nonlocal found
        found += 1
        applied = [code for index, code in enumerate(filters) if not info.filter_mask >> index & 1]
        # Without compression a chunk has one possible size; a packed one is only more than its checksum.
        checksum = _CHECKSUM_BYTES * applied.count(h5z.FILTER_FLETCHER32)
        is_packed = not set(applied) <= {h5z.FILTER_FLETCHER32, h5z.FILTER_SHUFFLE}
        sound = (
            (info.size > checksum if is_packed else info.size == unpacked + checksum)
            and info.byte_offset + info.size <= file_size
            and all(
                o < size and o % c == 0 for o, size, c in zip(info.chunk_offset, shape, chunk, strict=True)
            )
        )
        return None if sound else True  # anything but None ends the iteration

    expected = prod(-(-size // side) for size, side in zip(shape, chunk, strict=True))
    if dataset.chunk_iter(wrong):
        raise DamagedError(f"{place} has an impossible chunk, number {found} of {expected}")
    if found != expected:
        raise DamagedError(f"{place} lacks a part of its data: it has {found} of {expected} chunks")


_FILTERS = (h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF)
_CHECKSUM_BYTES = 4

_MORE = "more than a file of this size can hold"


def _size_of(values: NDArray[Any]) -> int:
    """Bytes of an array, with those of its strings."""
    if values.dtype.kind != "O":
        return int(values.nbytes)
    return sum(len(value) for value in values.ravel().tolist() if isinstance(value, (bytes, str)))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else value


# --- the process of its own ---


def main(path: str) -> None:
    """Examine a file, and leave one record on standard output, which must be a file.

    While at work the record is ``{"at": PLACE}``. At the end it is ``{}``, ``{"refused": REASON}``,
    ``{"damaged": REASON}`` or ``{"cannot_open": ERROR}``. The system ends the process when one object
    takes too much processor time.
    """
    _limit_memory()
    allowed = STEP_SECONDS + Path(path).stat().st_size / _BYTES_PER_SECOND

    def step(place: str) -> None:
        _record({"at": place[:200]})
        _limit_time(allowed)

    try:
        examine(Path(path), step)
        _record({})
    except RefusedError as refused:
        _record({"refused": str(refused)[:400]})
    except MemoryError:
        _record({"refused": "reading it takes more memory than its size allows"})
    except DamagedError as damaged:
        _record({"damaged": str(damaged)[:400]})
    except DAMAGE as error:
        _record({"cannot_open": str(error)[:400]})


def _record(value: dict[str, str]) -> None:
    # One record of a fixed size, overwritten in place: whenever the process is ended, a whole one is there.
    os.lseek(sys.stdout.fileno(), 0, os.SEEK_SET)
    os.write(sys.stdout.fileno(), json.dumps(value).encode().ljust(RECORD_BYTES))


def _limit_time(seconds: float) -> None:
    """Let the system end this process after so much processor time; time spent waiting for a disk is free."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    """Allow a bounded amount of memory on top of what the libraries took, where the system can do that."""
    try:
        import resource

        taken = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + _SPARE_MEMORY,) * 2)
    except (ImportError, OSError, ValueError):
        return
