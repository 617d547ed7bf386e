"""Where a study lives: a database or a journal file that several workers share."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

import optuna
from optuna.exceptions import ExperimentalWarning, OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial
from sqlalchemy.exc import SQLAlchemyError

from mer_data.errors import RunError

BEAT_S = 60.0
"""How often a worker says that its trial goes on."""
GRACE_S = 300.0
"""After how long without such a sign a trial counts as interrupted; the machines' clocks differ by less."""
SQLITE_PATIENCE_S = 60.0
"""How long a worker waits while another one writes."""
_SEEN = "seen"
_JOURNAL = "journal:"
_ATTEMPTS = 5


def masked(url: str) -> str:
    """``url`` without its password, for messages and files."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)


def sqlite_url(path: Path) -> str:
    """URL of a database file."""
    return f"sqlite:///{path.absolute().as_posix()}"


@contextmanager
def storage_errors(url: str, *others: type[Exception]) -> Iterator[None]:
    """What goes wrong between us and the storage becomes one line without the password.

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
            do="Name the URL of a database that runs and whose driver is installed, or journal:PATH in a"
            " folder that exists",
        ) from error


def open_storage(url: str) -> BaseStorage:
    """The storage at ``url``: an SQLAlchemy URL, or ``journal:PATH``; made where it does not exist.

    Raises:
        RunError: it cannot be reached.
    """
    with storage_errors(url, ImportError, OSError):
        if url.startswith(_JOURNAL):
            return JournalStorage(JournalFileBackend(url.removeprefix(_JOURNAL)))
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


class Heartbeat:
    """While the context lasts, the trial says every minute that it goes on, in any kind of storage.

    Optuna's own signs of life need a database; a journal has none.
    """

    def __init__(self, trial: Trial) -> None:
        """Nothing is said before the context is entered."""
        self._trial, self._ended = trial, Event()
        self._thread = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        """Say it once, then in a thread."""
        self._trial.set_user_attr(_SEEN, time.time())
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say no more."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._trial.set_user_attr(_SEEN, time.time())
            except (SQLAlchemyError, OptunaError, OSError):
                continue  # one sign less; the training itself meets what is wrong when it reports


def is_alive(trial: FrozenTrial) -> bool:
    """Whether the worker of a running trial gave a sign within the grace."""
    started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - float(trial.user_attrs.get(_SEEN, started)) < GRACE_S


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own lines and warnings off; ours tell the same."""
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
