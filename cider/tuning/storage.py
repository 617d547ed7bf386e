"""Storage of a study: a database or a journal file that several workers share."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from mer_data.errors import RunError
from mer_data.files.writing import is_abandoned, process_mark

BEAT_S = 60.0
"""Time between two records that a trial goes on."""
GRACE_S = 300.0
"""After how long without such a sign a trial counts as interrupted; the machines' clocks differ by less."""
MARK_S = 10.0
"""How long a trial may be without the mark of its worker, which comes milliseconds after its beginning."""
SQLITE_PATIENCE_S = 60.0
"""Time that a worker waits while another one writes."""
_SEEN, _WORKER = "seen", "worker"
_JOURNAL = "journal:"
_ATTEMPTS = 5
_LONGEST_LINE = 1 << 20
_FULL = ("disk", "space", "full", "too large", "quota")
"""Words in what a storage says when it cannot write."""


def masked(url: str) -> str:
    """``url`` without its password, for messages and files."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def sqlite_url(path: Path) -> str:
    """URL of a database file."""
    return f"sqlite:///{path.absolute().as_posix()}"


@contextmanager
def storage_errors(url: str, *others: type[Exception]) -> Iterator[None]:
    """Turn errors of the storage into one line without the password.

    Args:
        url: of the storage.
        others: errors that are the storage's too, besides those of SQLAlchemy and Optuna.

    Raises:
        RunError: in place of such an error.
    """
    known: tuple[type[Exception], ...] = (SQLAlchemyError, OptunaError, *others)
    try:
        yield
    except known as error:
        # SQLAlchemy appends the statement and a link; Optuna wraps the driver's message into its own.
        cause = error.__cause__ if isinstance(error, OptunaError) and error.__cause__ else error
        reason = next(iter(str(cause).splitlines()), "") or type(cause).__name__
        raise RunError(
            f"cannot use the storage of the study ({_without_secrets(reason, url)})",
            where=masked(url),
            do="Make room there; the trials that have ended are safe, and the same command goes on"
            if any(word in reason.lower() for word in _FULL)
            else "Name the URL of a database that runs and whose driver is installed, or journal:PATH in a"
            " folder that exists",
        ) from error


def open_storage(url: str) -> BaseStorage:
    """The storage at ``url``: an SQLAlchemy URL, or ``journal:PATH``; made where it does not exist.

    Raises:
        RunError: it cannot be reached.
    """
    with storage_errors(url, ImportError, OSError):
        if url.startswith(_JOURNAL):
            return JournalStorage(_Journal(Path(url.removeprefix(_JOURNAL))))
        if url.startswith("sqlite:"):
            _check_database(url)
        patience = {"connect_args": {"timeout": SQLITE_PATIENCE_S}} if url.startswith("sqlite:") else {}
        attempt = 1
        while True:
            try:
                return RDBStorage(url, engine_kwargs=patience)
            except SQLAlchemyError as error:
                # Of workers that start together all make the tables; the slower ones find them made.
                if attempt == _ATTEMPTS or "exist" not in str(error):
                    raise
            attempt += 1
            time.sleep(0.5)


class _Journal(JournalFileBackend):
    """Optuna's journal, which is not written into any other file, and not left with half a line."""

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin one.

        Raises:
            RunError: the file is something else.
        """
        self._path, self._lock_file = path, JournalFileSymlinkLock(str(path))
        _check_journal(path)
        super().__init__(str(path), lock_obj=self._lock_file)
        self._drop_half_a_line()  # of a worker that was killed while it wrote

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append; when the disk is full the journal ends with its last whole line.

        Raises:
            StorageInternalError: the file cannot be written.
        """
        try:
            super().append_logs(logs)
        except OSError as error:
            self._drop_half_a_line()
            raise StorageInternalError(str(error)) from error

    def _drop_half_a_line(self) -> None:
        """A line appended to half a line would make the whole journal unreadable."""
        if not _ends_within_a_line(self._path):
            return
        self._lock_file.acquire()
        try:
            with self._path.open("rb+") as file:
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)
        finally:
            self._lock_file.release()


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in (b"", b"\n")


def _check_journal(path: Path) -> None:
    """Raise a RunError where a file is there that is no journal of Optuna."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        known = isinstance(json.loads(line)["op_code"], int)
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise RunError(
            "the file is no journal of a study, and is left as it is",
            where=path,
            do="Name a new file, or the journal of a study",
        )


def _check_database(url: str) -> None:
    """Raise a RunError where an SQLite file is of something else than studies."""
    engine = create_engine(url)
    try:
        path = engine.url.database
        if not path or not Path(path).is_file():
            return
        tables = set(inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if tables and "studies" not in tables and "version_info" not in tables:
        raise RunError(
            "the database is not of studies, and is left as it is",
            where=path,
            found=f"the tables {', '.join(sorted(tables)[:3])}",
            do="Name a new file, or the database of a study",
        )


@contextmanager
def heartbeat(trial: Trial) -> Iterator[None]:
    """Record every minute that the trial goes on, in any kind of storage.

    Optuna's own heartbeat needs a database and `Study.optimize`; a journal has none.
    """
    ended = Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            # One sign less; the training itself meets what is wrong when it reports.
            with suppress(SQLAlchemyError, OptunaError, OSError):
                trial.set_user_attr(_SEEN, time.time())

    trial.set_user_attr(_WORKER, process_mark())
    trial.set_user_attr(_SEEN, time.time())
    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_alive(trial: FrozenTrial) -> bool:
    """Return whether the worker of a running trial lives: on this machine, or by a sign within the grace."""
    if is_abandoned(str(trial.user_attrs.get(_WORKER, ""))):
        return False
    started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get(_SEEN, started)) < GRACE_S


def is_unmarked(trial: FrozenTrial) -> bool:
    """Return whether a trial does not say yet whose it is; `Heartbeat` marks it in its first moment."""
    return _WORKER not in trial.user_attrs


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Switch off Optuna's own lines and warnings; ours say the same."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _without_secrets(reason: str, url: str) -> str:
    """A driver's message, where it repeats the URL or the password."""
    reason = reason.replace(url, masked(url))
    found = re.search(r"://[^:/@]*:(.*)@", url)
    return reason.replace(found[1], "***") if found and found[1] else reason
