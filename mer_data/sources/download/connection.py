"""One attempt at one address: ask for what is missing, append it, and notice everything that goes wrong."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

import mer_data
from mer_data.sources.content import is_html
from mer_data.sources.download.faults import AttemptError, StoppedError
from mer_data.sources.download.partial import Partial, Version
from mer_data.sources.download.settings import DownloadSettings
from mer_data.sources.download.space import check_space

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be."""

_CHUNK = 1 << 18
_TRY_AGAIN = {408, 425, 429}  # codes below 500 that say nothing about the file itself
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mer-data/{mer_data.__version__}"}


def new_session(settings: DownloadSettings) -> requests.Session:
    """A session that takes proxies from the environment and asks for bytes as they are."""
    session = requests.Session()
    session.headers.update(_HEADERS)
    session.max_redirects = settings.max_redirects
    return session


@contextmanager
def network_faults() -> Iterator[None]:
    """Whatever the network raises, as a ``AttemptError``; errors of the disk pass."""
    try:
        yield
    except requests.TooManyRedirects as error:
        raise AttemptError("redirected in a circle", lasting=True) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise AttemptError("redirected to something that is no web address", lasting=True) from error
    except (requests.Timeout, ReadTimeoutError, TimeoutError) as error:
        raise AttemptError("no answer in time", lasting=False, unreached=_unreached(error)) from error
    except (requests.RequestException, HTTPError, HTTPException, ConnectionError) as error:
        raise AttemptError(_cause(error), lasting=False, unreached=_unreached(error)) from error


def server_of(address: str) -> str:
    """Host and port of an address."""
    return urlsplit(address).netloc


def ask(
    session: requests.Session, address: str, settings: DownloadSettings, *, follow: bool = True
) -> requests.Response:
    """The headers that a server gives for an address.

    Raises:
        AttemptError: no answer.
    """
    timeout = (settings.connect_timeout_s, settings.read_timeout_s)
    with network_faults():
        return session.head(address, allow_redirects=follow, timeout=timeout)


def probe_size(
    session: requests.Session, address: str, settings: DownloadSettings, unreached: set[str]
) -> int | None:
    """Size that a server states for a file, None where it does not answer or does not say.

    Servers in ``unreached`` are not asked; one that takes no connection is added.
    """
    if server_of(address) in unreached:
        return None
    try:
        answer = ask(session, address, settings)
    except AttemptError as fault:
        if fault.unreached is not None:
            unreached.add(fault.unreached)
        return None
    return _length(answer) if answer.ok and not _is_page(answer) else None


def append_missing(
    session: requests.Session,
    address: str,
    partial: Partial,
    expected: int | None,
    settings: DownloadSettings,
    report: Report,
    stop: threading.Event,
) -> None:
    """Bring ``partial`` to its full length, by a range where some of it is there.

    Args:
        session: see ``new_session``.
        address: where the file is.
        partial: what is there; left as far as it came when anything is raised.
        expected: size of the file, where known.
        settings: patience.
        report: progress.
        stop: set from elsewhere, it ends the transfer.

    Raises:
        AttemptError: the address did not give the whole file.
        SourceError: the disk has no room for the rest.
        StoppedError: ``stop`` was set.
    """
    start = partial.size
    headers = {"Range": f"bytes={start}-"} if start else {}
    condition = partial.version.condition if partial.version.address == address else None
    if start and condition:
        headers["If-Range"] = condition
    timeout = (settings.connect_timeout_s, settings.read_timeout_s)
    with network_faults():
        answer = session.get(address, headers=headers, stream=True, timeout=timeout)
    with answer:
        _check_status(answer, partial)
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            total = _total_of_range(answer, partial)
        else:
            total = _length(answer)
            partial.begin(_version(answer, address, total))
        if expected is not None and total is not None and total != expected:
            partial.discard()
            raise AttemptError(f"wrong length, {total} bytes instead of {expected}", lasting=True)
        check_space(partial.path.parent, max(0, (total or 0) - partial.size), settings)
        try:
            _copy(answer, partial, total or expected, settings, report, stop)
            if total is not None and partial.size < total:
                raise AttemptError("the connection ended", lasting=False)
        except AttemptError as fault:
            if fault.lasting:  # the bytes are not those of the file
                partial.discard()
                raise
            place = f"at {partial.size} of {total or 'unknown'} bytes"
            raise AttemptError(f"{fault} {place}", lasting=False) from fault


def _check_status(answer: requests.Response, partial: Partial) -> None:
    """Only a whole file or a range of one goes on."""
    status = answer.status_code
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.discard()
        raise AttemptError("the part that is there does not fit the file any more", lasting=False)
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        lasting = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TRY_AGAIN
        wait = answer.headers.get("Retry-After", "")
        raise AttemptError(
            f"{status} {answer.reason}", lasting=lasting, wait_s=float(wait) if wait.isdecimal() else 0.0
        )


def _is_page(answer: requests.Response) -> bool:
    kind: str = answer.headers.get("Content-Type", "")
    return kind.lower().startswith(("text/html", "application/xhtml"))


def _length(answer: requests.Response) -> int | None:
    value: str = answer.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _version(answer: requests.Response, address: str, total: int | None) -> Version:
    etag = answer.headers.get("ETag")
    strong = etag if etag and not etag.startswith("W/") else None
    return Version(address, total, strong, answer.headers.get("Last-Modified"))


def _total_of_range(answer: requests.Response, partial: Partial) -> int | None:
    """Size of the whole file of which this answer is a range; it must go on where the part ends."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    before = partial.version.total
    if found is not None and int(found[1]) == partial.size:
        total = before if found[2] == "*" else int(found[2])
        if before is None or total == before:
            return total
    partial.discard()
    raise AttemptError("another range than the one asked for", lasting=False)


def _copy(
    answer: requests.Response,
    partial: Partial,
    limit: int | None,
    settings: DownloadSettings,
    report: Report,
    stop: threading.Event,
) -> None:
    """Append the body; too much, too slow or a web page is a fault."""
    size, since, in_window = partial.size, time.monotonic(), 0
    with partial.path.open("ab") as target:
        while True:
            if stop.is_set():
                raise StoppedError
            with network_faults():
                piece: bytes = _read(answer.raw)
            if not piece:
                return
            if size == 0 and is_html(piece):
                raise AttemptError("a web page instead of the file", lasting=True)
            size, in_window = size + len(piece), in_window + len(piece)
            if limit is not None and size > limit:
                raise AttemptError(f"more than the {limit} bytes of the file", lasting=True)
            target.write(piece)
            report(size, limit)
            elapsed = time.monotonic() - since
            if elapsed >= settings.slow_window_s:
                if in_window < settings.slow_bytes:
                    raise AttemptError(f"too slow, {in_window} bytes in {elapsed:.0f} s", lasting=False)
                since, in_window = time.monotonic(), 0


def _read(raw: Any) -> bytes:
    """What the connection has to give, without waiting for a full chunk."""
    return bytes(raw.read1(_CHUNK, decode_content=False) or b"")


def _unreached(error: BaseException) -> str | None:
    """Host and port that took no connection, perhaps after a redirection; None where one did."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    request = getattr(error, "request", None)
    if request is None or not isinstance(reason, (NewConnectionError, ConnectTimeoutError)):
        return None
    return server_of(request.url)


def _cause(error: BaseException) -> str:
    """The innermost reason in a few words."""
    causes = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(inner)
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    if system is not None:
        return str(system.strerror)
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refuses"
    return "the connection broke"
