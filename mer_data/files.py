"""Files that appear only when complete, and their digests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mer_data.errors import MerDataError


@contextmanager
def complete_or_absent(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success sync it and rename it to ``target``.

    On any exception the temporary file is removed and ``target`` is untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb+") as handle:
            os.fsync(handle.fileno())
        partial.replace(target)
        _sync_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; file systems that cannot sync a folder are left as they are."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8 so that ``target`` is either the old or the whole new file."""
    with complete_or_absent(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: object) -> None:
    """Write ``value`` as indented JSON with a final newline; equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def refuse_overwrite(target: Path, *, force: bool, error: type[MerDataError]) -> None:
    """Raise ``error`` when ``target`` exists and ``force`` is off."""
    if target.exists() and not force:
        raise error(f"{target} exists already", do="Pass --force to replace it, or --out to write elsewhere")


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
