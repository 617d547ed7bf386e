"""One training at a time in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cider.training.distributed import Processes
from mer_data.errors import RunError


@contextmanager
def only_training(folder: Path, processes: Processes) -> Iterator[None]:
    """Hold the lock of a run folder, a hidden file beside it that is gone afterwards.

    The system gives it back when a process dies, so a killed training blocks nothing.

    Args:
        folder: of the run.
        processes: of this training; the main one holds the lock for all.

    Raises:
        RunError: another training holds it.
    """
    lock = processes.on_main(lambda: _take(folder))
    try:
        yield
    finally:
        if lock is not None:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


def _take(folder: Path) -> FileLock:
    real = folder.resolve()  # a link, or "." typed inside the folder, is the same run
    real.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(real.parent / f".{real.name}.training")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            "another process is training this run",
            where=folder,
            do="Wait for its end, or choose another folder with --out",
        ) from error
    return lock
