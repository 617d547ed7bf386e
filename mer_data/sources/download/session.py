"""HTTP sessions in which no answer can take for ever, and where a redirection may lead."""

from __future__ import annotations

import errno
import io
import ipaddress
import socket
import time
from functools import partial
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from mer_data.sources.download.faults import AttemptError, SlowError
from mer_data.sources.download.settings import DownloadSettings
from mer_data.version import __version__

_HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mer-data/{__version__}"}
_MOST_HEADER_BYTES = 1 << 20


def new_session(settings: DownloadSettings) -> requests.Session:
    """Return a session that takes proxies from the environment and asks for bytes as they are.

    It follows no redirection, and raises ``SlowError`` from within an answer that comes too slowly.
    """
    session = _Session()
    session.headers.update(_HEADERS)
    adapter = _BoundedAdapter(settings)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Name no target: requests would read the whole body of a redirection before it goes on."""
        return


class _BoundedAdapter(HTTPAdapter):
    """Gives connections whose responses are bounded, directly and through proxies."""

    def __init__(self, settings: DownloadSettings) -> None:
        # A static method, for the attribute of a class is called as one of its methods.
        response = staticmethod(partial(_BoundedResponse, settings))

        class Plain(HTTPConnection):
            response_class = response  # type: ignore[assignment]

        class Encrypted(HTTPSConnection):
            response_class = response  # type: ignore[assignment]

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            ConnectionCls = Encrypted

        self._pools = {"http": PlainPool, "https": EncryptedPool}
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _BoundedResponse(HTTPResponse):
    """An answer that is read through a ``_Measured``: status, headers, sizes of chunks and body alike."""

    def __init__(self, settings: DownloadSettings, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._measured = _Measured(self.fp.detach(), settings)
        self.fp = io.BufferedReader(self._measured)

    def begin(self) -> None:
        super().begin()
        self._measured.restart()  # a server may think for as long as a window before its body comes

    def read1(self, n: int = -1) -> bytes:
        # What comes between two pieces of the body, as trailers of chunks, is bounded as headers are.
        self._measured.allow(_MOST_HEADER_BYTES + max(0, n))
        return super().read1(n)


class _Measured(io.RawIOBase):
    """A connection that has to bring something in every window of time, and a bounded number of bytes."""

    def __init__(self, raw: io.RawIOBase, settings: DownloadSettings) -> None:
        self._raw, self._settings = raw, settings
        self._allowed = _MOST_HEADER_BYTES
        self.restart()

    def restart(self) -> None:
        """Begin a window of time."""
        self._since, self._in_window = time.monotonic(), 0

    def allow(self, num_bytes: int) -> None:
        """Let so many bytes come before the next call."""
        self._allowed = num_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        elapsed = time.monotonic() - self._since
        if elapsed >= self._settings.slow_window_s:
            if self._in_window < self._settings.slow_bytes:
                raise SlowError(f"too slow, {self._in_window} bytes in {elapsed:.0f} s")
            self.restart()
        if self._allowed <= 0:
            raise ConnectionError(errno.EPROTO, "headers without end")
        count = self._raw.readinto(buffer)
        self._in_window += count or 0
        self._allowed -= count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def redirect_target(address: str, location: str) -> str:
    """Return the address that the ``Location`` header of an answer means.

    Args:
        address: that was asked.
        location: the header, as bytes read as Latin-1.

    Raises:
        AttemptError: no address of the web; or one of a private network, where ``address`` is a public one: a
            published page must not make this machine ask its neighbours.
    """
    try:
        target = urljoin(address, location.encode("latin-1").decode("utf-8"))
        parts = urlsplit(target)
        host = parts.hostname
    except ValueError as error:
        raise AttemptError("redirected to something that is no web address", lasting=True) from error
    if parts.scheme not in ("http", "https") or not host:
        raise AttemptError("redirected to something that is no web address", lasting=True)
    before = urlsplit(address).hostname or ""
    if host != before and _is_inside(host) and not _is_inside(before):
        raise AttemptError(
            f"redirected from a public address into a private network, to {host}", lasting=True
        )
    return target


def _is_inside(host: str) -> bool:
    """Whether a name or address may lead to this machine or a network that is not public.

    A name is looked up, and one of its addresses is enough. One that nobody here knows, as behind a proxy, is
    taken for public.
    """
    return any(not _is_public(address) for address in addresses_of(host))


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_global and not address.is_multicast


def addresses_of(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses that a connection to ``host`` may go to; none where it is not known."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
