"""Work on the parts of a corpus in several processes, in order and with bounded memory (joblib)."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from mer_data.errors import MerDataError

T = TypeVar("T")
_PER_WORKER = 4
"""Parts per worker that may be finished and not yet taken."""


def in_order(job: Callable[[int], T], num_parts: int, workers: int) -> Iterator[T]:
    """Yield ``job(0)``, ``job(1)``, ... in this order, each made once, by ``workers`` processes.

    ``job`` travels to each process once. Parts are handed out in windows, so that no more than a few
    per worker wait to be taken, however long the corpus. Inside ``joblib.parallel_config`` (Dask, for
    more than one machine) that backend does the work.

    Args:
        job: makes one part; it and what it returns can be pickled.
        num_parts: how many parts there are.
        workers: processes; with 1 and joblib's own backend everything happens in this one.

    Raises:
        MerDataError: a worker process died.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError
    from joblib.parallel import get_active_backend

    if workers == 1 and get_active_backend()[0].__class__.__name__ == "LokyBackend":
        yield from map(job, range(num_parts))
        return
    # The token keeps a worker that lives on from taking an earlier job for this one.
    packed = os.urandom(16) + pickle.dumps(job)
    window = _PER_WORKER * workers
    try:
        with Parallel(n_jobs=workers, batch_size=1, pre_dispatch="all", return_as="generator") as parallel:
            for start in range(0, num_parts, window):
                numbers = range(start, min(start + window, num_parts))
                yield from parallel(delayed(_run)(packed, number) for number in numbers)
    except TerminatedWorkerError as error:
        raise MerDataError(
            "a worker process died, perhaps for lack of memory", do="Pass fewer --workers"
        ) from error


def _run(packed: bytes, number: int) -> Any:
    return _unpacked(packed)(number)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Callable[[int], Any]:
    """The job, with the files that it opened, kept for the next part."""
    job: Callable[[int], Any] = pickle.loads(packed[16:])
    return job


@contextmanager
def workers_of(scheduler: str | None) -> Iterator[None]:
    """Let `in_order` use the workers of a Dask scheduler, or joblib's own processes where it is None.

    Args:
        scheduler: address of the scheduler.

    Raises:
        MerDataError: the package distributed is absent, no scheduler answers, or its workers died.
    """
    if scheduler is None:
        yield
        return
    from joblib import parallel_config

    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise MerDataError(
            "--dask needs the package distributed", do="Install it: pip install dask distributed"
        ) from error
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        raise MerDataError(
            "no Dask scheduler answers", where=scheduler, do="Start one with `dask scheduler` (docs/scale.md)"
        ) from error
    try:
        with client, parallel_config("dask"):
            yield
    except KilledWorker as error:
        raise MerDataError(
            "Dask workers died, perhaps for lack of memory", do="Start fewer on each machine"
        ) from error
