"""Folders that appear only when complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from mer_data.files.writing import sync_folder

_NUMBER = count()


@contextmanager
def complete_folder_or_absent(target: Path) -> Iterator[Path]:
    """Yield a new folder beside ``target``; on success sync its files and rename it to ``target``.

    What was at ``target`` is removed after that, and stays as it was on any exception. Two writers of one
    target do not meet: each has its own folder, and the last rename stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    own = f"{os.getpid()}-{next(_NUMBER)}"
    partial = target.with_name(f".{target.name}.{own}.partial")
    old = target.with_name(f".{target.name}.{own}.old")
    partial.mkdir()
    try:
        yield partial
        _sync_files(partial)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        sync_folder(target.parent)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _sync_files(folder: Path) -> None:
    """Bring every file below ``folder`` to the disk."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
