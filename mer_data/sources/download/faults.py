"""Why a file could not be had: faults of one attempt, and of a whole download."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from mer_data.errors import SourceError


class AttemptError(Exception):
    """One attempt at one address failed.

    Attributes:
        lasting: whether trying the same address again is pointless.
        wait_s: how long the server asked to be left alone.
        unreached: host and port that took no connection; None where there was one.
    """

    def __init__(
        self, reason: str, *, lasting: bool, wait_s: float = 0.0, unreached: str | None = None
    ) -> None:
        """Remember the reason in a few words."""
        super().__init__(reason)
        self.lasting = lasting
        self.wait_s = wait_s
        self.unreached = unreached


class SlowError(TimeoutError):
    """An answer brings next to nothing."""


class StoppedError(Exception):
    """The user ended the download."""


@dataclass(frozen=True)
class Failure:
    """A file that is missing after everything was tried.

    Attributes:
        name: the file.
        reasons: what happened, by address or page.
    """

    name: str
    reasons: dict[str, str]

    def __str__(self) -> str:
        """``name: address (reason); address (reason)``."""
        return f"{self.name}: " + "; ".join(f"{where} ({why})" for where, why in self.reasons.items())


class DownloadError(SourceError):
    """Files of a dataset could not be had; the message has a line for each, below the first one."""

    def __init__(self, dataset: str, num_wanted: int, failures: Sequence[Failure], folder: Path) -> None:
        """List the failures.

        Args:
            dataset: name of the dataset.
            num_wanted: how many files were asked for.
            failures: those that are missing.
            folder: where copies are picked up.
        """
        super().__init__(
            f"{len(failures)} of {num_wanted} files of {dataset} could not be had (listed below)",
            do=f"Fetch them in any way, put them into {folder} under any name and run"
            f" `mer-data import {folder}`; or pass --mirror URL; or run the same command again, which goes"
            " on where it broke off",
        )
        self.failures = tuple(failures)
        self.args = ("\n".join([str(self), *(f"  {failure}" for failure in failures)]),)


@contextmanager
def network_faults() -> Iterator[None]:
    """Whatever the network raises, as a ``AttemptError``; errors of the disk pass."""
    try:
        yield
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise AttemptError("redirected to something that is no web address", lasting=True) from error
    except (requests.Timeout, ReadTimeoutError, TimeoutError) as error:
        slow = next((cause for cause in _causes(error) if isinstance(cause, SlowError)), "no answer in time")
        raise AttemptError(str(slow), lasting=False, unreached=_unreached(error)) from error
    except (requests.RequestException, HTTPError, HTTPException, ConnectionError) as error:
        raise AttemptError(_cause(error), lasting=False, unreached=_unreached(error)) from error


def server_of(address: str) -> str:
    """Host and port of an address."""
    return urlsplit(address).netloc


def _unreached(error: BaseException) -> str | None:
    """Host and port that took no connection, perhaps after a redirection; None where one did."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    request = getattr(error, "request", None)
    if request is None or not isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
        return None
    return server_of(request.url)


def _cause(error: BaseException) -> str:
    """The innermost reason in a few words."""
    system = next((one for one in _causes(error) if isinstance(one, OSError) and one.strerror), None)
    if system is not None:
        return str(system.strerror)
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses"
    return "the connection broke"


def _causes(error: BaseException) -> list[BaseException]:
    """An error and those behind it."""
    causes = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(inner)
    return causes
