"""Where a server may send a download on to."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

from mer_data.sources.download.faults import AttemptError


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
