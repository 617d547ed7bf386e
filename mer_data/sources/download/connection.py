"""One attempt at one address: ask for what is missing, append it, and notice everything that goes wrong."""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, NamedTuple

import requests

from mer_data.sources.broken_downloads import is_html
from mer_data.sources.download.faults import AttemptError, StoppedError, network_faults, server_of
from mer_data.sources.download.partial import Partial, Version
from mer_data.sources.download.session import redirect_target
from mer_data.sources.download.settings import DownloadSettings, check_space, free_bytes

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be."""

_CHUNK = 1 << 18
_LENGTH = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_TRY_AGAIN = {408, 425, 429}  # codes below 500 that say nothing about the file itself
_LOOK_AT_DISK_EVERY = 1 << 24


def ask(
    session: requests.Session, address: str, settings: DownloadSettings, *, follow: bool = True
) -> requests.Response:
    """The headers that a server gives for an address.

    Raises:
        AttemptError: no answer.
    """
    with _opened(session.head, address, settings, {}, follow=follow) as answer:
        return answer


def _opened(
    method: Callable[..., requests.Response],
    address: str,
    settings: DownloadSettings,
    headers: Mapping[str, str],
    *,
    follow: bool = True,
) -> requests.Response:
    """The answer that redirections lead to, its body unread."""
    timeout = (settings.connect_timeout_s, settings.read_timeout_s)
    for _ in range(settings.max_redirects + 1):
        with network_faults():
            answer = method(address, headers=headers, stream=True, allow_redirects=False, timeout=timeout)
        if not (follow and answer.is_redirect):
            return answer
        answer.close()
        address = redirect_target(address, answer.headers["Location"])
    raise AttemptError("redirected in a circle", lasting=True)


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
    as_it_is = "Content-Encoding" not in answer.headers and not _is_page(answer)
    return _length(answer) if answer.ok and as_it_is else None


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
    with _open_rest(session, address, partial, settings) as answer:
        _check_status(answer)
        encoded = _is_gzip(answer)
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            total = _Range.from_response(answer).total or partial.version.total
        else:
            # A part of encoded content cannot be gone on with: the server counts other bytes.
            total = None if encoded else _length(answer)
            partial.begin(Version(address) if encoded else _version(answer, address, total))
        if expected is not None and total is not None and total != expected:
            partial.discard()
            raise AttemptError(f"wrong length, {total} bytes instead of {expected}", lasting=True)
        check_space(partial.path.parent, max(0, (total or 0) - partial.size), settings)
        pieces = _gunzipped(answer.raw) if encoded else iter(lambda: _read(answer.raw), b"")
        try:
            _copy(pieces, partial, total or expected, settings, report, stop)
            if total is not None and partial.size < total:
                raise AttemptError("the connection ended", lasting=False)
        except AttemptError as fault:
            if fault.lasting:  # the bytes are not those of the file
                partial.discard()
                raise
            place = f"at {partial.size} of {total or 'unknown'} bytes"
            raise AttemptError(f"{fault} {place}", lasting=False) from fault


def _open_rest(
    session: requests.Session, address: str, partial: Partial, settings: DownloadSettings
) -> requests.Response:
    """An answer with what is missing or, where the part cannot be gone on with, with the whole file."""
    if partial.resumes(address):
        headers = {"Range": f"bytes={partial.size}-"}
        known = partial.version
        if known.address == address and known.condition:
            headers["If-Range"] = known.condition
        answer = _opened(session.get, address, settings, headers)
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            if _goes_on(answer, address, partial):
                return answer
        elif answer.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return answer
        answer.close()
    partial.discard()
    return _opened(session.get, address, settings, {})


class _Range(NamedTuple):
    """The range of a file that an answer states; ``end`` is the last byte."""

    start: int = -1
    end: int = -1
    total: int | None = None

    @classmethod
    def from_response(cls, answer: requests.Response) -> _Range:
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None:
            return cls()
        return cls(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3]))


def _goes_on(answer: requests.Response, address: str, partial: Partial) -> bool:
    """Whether a range begins where the part ends, is as long as it says, and is of the same file."""
    span, length, total = _Range.from_response(answer), _length(answer), partial.version.total
    return (
        span.start == partial.size
        and length in (None, span.end - span.start + 1)
        and (span.total is None or total is None or span.total == total)
        and answer.headers.get("Content-Encoding", "identity") == "identity"
        and partial.goes_on_with(_version(answer, address, span.total))
    )


def _check_status(answer: requests.Response) -> None:
    """Only a whole file, or a range that was asked for, goes on."""
    status = answer.status_code
    ranged = "Range" in answer.request.headers
    if status != HTTPStatus.OK and not (status == HTTPStatus.PARTIAL_CONTENT and ranged):
        lasting = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TRY_AGAIN
        wait = answer.headers.get("Retry-After", "")
        raise AttemptError(
            f"{status} {answer.reason}", lasting=lasting, wait_s=float(wait) if wait.isdecimal() else 0.0
        )


def _is_gzip(answer: requests.Response) -> bool:
    """Whether the content comes as gzip, although it was asked for as it is; no other encoding is read."""
    encoding: str = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise AttemptError(f"the content comes encoded as {encoding[:40]}", lasting=True)
    return encoding in ("gzip", "x-gzip")


def _gunzipped(raw: Any) -> Iterator[bytes]:
    """Yield the content of a gzip stream in pieces of bounded size."""
    reader = SimpleNamespace(read=lambda size: bytes(raw.read1(size, decode_content=False) or b""))
    try:
        with gzip.GzipFile(fileobj=reader, mode="rb") as stream:
            while piece := stream.read1(_CHUNK):
                yield piece
    except (gzip.BadGzipFile, zlib.error) as error:
        raise AttemptError("the content is said to be gzip, and is not", lasting=True) from error
    except EOFError as error:
        raise AttemptError("the connection ended", lasting=False) from error


def _is_page(answer: requests.Response) -> bool:
    kind: str = answer.headers.get("Content-Type", "")
    return kind.lower().startswith(("text/html", "application/xhtml"))


def _length(answer: requests.Response) -> int | None:
    value: str = answer.headers.get("Content-Length", "")
    return int(value) if _LENGTH.fullmatch(value) else None


def _version(answer: requests.Response, address: str, total: int | None) -> Version:
    etag = answer.headers.get("ETag")
    strong = etag if etag and not etag.startswith("W/") else None
    return Version(address, total, strong, answer.headers.get("Last-Modified"))


def _copy(
    pieces: Iterator[bytes],
    partial: Partial,
    limit: int | None,
    settings: DownloadSettings,
    report: Report,
    stop: threading.Event,
) -> None:
    """Append the body; too much or a web page is a fault, and so is a disk that fills without an end."""
    size, looked_at = partial.size, partial.size
    with partial.path.open("ab") as target:
        while True:
            if stop.is_set():
                raise StoppedError
            with network_faults():
                piece = next(pieces, b"")
            if not piece:
                return
            if size == 0 and is_html(piece):
                raise AttemptError("a web page instead of the file", lasting=True)
            size += len(piece)
            if limit is not None and size > limit:
                raise AttemptError(f"more than the {limit} bytes of the file", lasting=True)
            if limit is None and size - looked_at >= _LOOK_AT_DISK_EVERY:
                if free_bytes(partial.path.parent) < settings.spare_bytes + 2 * _LOOK_AT_DISK_EVERY:
                    raise AttemptError(
                        f"no length is stated, and after {size} bytes the disk has no room", lasting=True
                    )
                looked_at = size
            target.write(piece)
            report(size, limit)


def _read(raw: Any) -> bytes:
    """Return the bytes that have arrived, without waiting for a full chunk."""
    return bytes(raw.read1(_CHUNK, decode_content=False) or b"")
