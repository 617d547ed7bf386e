"""Files that appear only when complete, and their digests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from mer_data.errors import MerDataError

_HOST = re.sub(r"[^A-Za-z0-9]", "-", socket.gethostname())
_NUMBER = count()


@contextmanager
def complete_or_absent(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success sync it and rename it to ``target``.

    On any exception the temporary file is removed and ``target`` is untouched. Files that killed
    processes of this machine left for the same target are removed first. Two writers of one target do
    not meet: each has its own temporary file, and the last rename stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    partial = target.with_name(f".{target.name}.{_HOST}.{os.getpid()}-{next(_NUMBER)}.partial")
    try:
        yield partial
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(target)
        sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of ``target`` whose process, on this machine, is no more."""
    beginning = f".{target.name}.{_HOST}."
    for path in target.parent.iterdir():
        name = path.name
        if name.startswith(beginning) and name.endswith(".partial"):
            process = name[len(beginning) : -len(".partial")].partition("-")[0]
            if process.isdecimal() and not _runs(int(process)):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether a process of this machine is alive; True where that cannot be known."""
    if os.name != "posix":  # elsewhere signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename durable; file systems that cannot sync a folder are left as they are."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8 so that ``target`` is either the old or the whole new file.

    Bytes of a path that are no text, lone surrogates in Python, become escapes, which JSON reads back.
    """
    with complete_or_absent(target) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(target: Path, value: object) -> None:
    """Write ``value`` as indented JSON with a final newline; equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def refuse_overwrite(
    target: Path, *, force: bool, error: type[MerDataError], option: str | None = "--out"
) -> None:
    """Raise ``error`` when ``target`` exists and ``force`` is off.

    ``option`` of the command writes elsewhere; None: it has none.
    """
    if target.exists() and not force:
        elsewhere = f", or {option} to write elsewhere" if option else ""
        raise error(f"{target} exists already", do=f"Pass --force to replace it{elsewhere}")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as ``sha256:<hex>``."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def sha256_text(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes as ``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
