"""One file from its addresses: in order, with pauses that grow, going on where a connection broke."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import requests

from mer_data.errors import SourceError
from mer_data.sources.download.connection import Report, append_missing
from mer_data.sources.download.faults import AttemptError, Failure, StoppedError, server_of
from mer_data.sources.download.partial import Partial
from mer_data.sources.download.session import new_session
from mer_data.sources.download.settings import DownloadSettings

Accept = Callable[[Path, str], None]
"""Checks a complete file from an address and puts it in place, or raises ``SourceError``."""


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Attributes:
        name: of the file.
        addresses: in the order in which they are tried.
        folder: where its parts lie, on the disk of the target.
        bytes: its size, where known.
        sha256: its checksum, where known.
    """

    name: str
    addresses: tuple[str, ...]
    folder: Path
    bytes: int | None
    sha256: str | None


def transfer(
    wanted: Wanted, accept: Accept, settings: DownloadSettings, report: Report, stop: threading.Event
) -> Failure | None:
    """Fetch a file, and hand it to ``accept`` when it is complete.

    An address that says that it has no such file, or whose file is not accepted, is not asked again. One that
    breaks off is asked again after the others, at once where it had brought much. Of the addresses on a
    server that takes no connection one is asked in each round.

    Returns:
        None, or why the file could not be had.

    Raises:
        StoppedError: ``stop`` was set.
    """
    addresses = [_Address(address, wanted) for address in wanted.addresses]
    with closing(new_session(settings)) as session:
        for failures in range(settings.attempts):
            alive = [address for address in addresses if not address.lost]
            if failures and alive:
                asked = min(max(address.wait_s for address in alive), settings.max_backoff_s)
                if stop.wait(max(settings.pause_s(failures), asked)):
                    raise StoppedError
            unreached: dict[str, str] = {}
            for address in alive:
                if (server := server_of(address.address)) in unreached:
                    address.reason = unreached[server]
                    continue
                if address.try_on(session, wanted, accept, settings, report, stop):
                    _forget_others(addresses)
                    return None
                if address.unreached:
                    unreached[address.unreached] = address.reason
    return Failure(wanted.name, {address.address: address.reason for address in addresses})


@dataclass
class _Address:
    """One address, and what became of it so far."""

    address: str
    wanted: Wanted
    reason: str = "not tried"
    lost: bool = False
    wait_s: float = 0.0
    unreached: str | None = None
    partial: Partial = field(init=False)

    def __post_init__(self) -> None:
        self.partial = Partial(self.wanted.folder, self.wanted.name, self.address, self.wanted.sha256)

    def try_on(
        self,
        session: requests.Session,
        wanted: Wanted,
        accept: Accept,
        settings: DownloadSettings,
        report: Report,
        stop: threading.Event,
    ) -> bool:
        """Whether the file is in place; connections that bring much are followed by others at once."""
        most = self.partial.size
        while True:
            resumed = self.partial.size > 0
            try:
                if not self.partial.complete:
                    append_missing(session, self.address, self.partial, wanted.bytes, settings, report, stop)
                self._accept(accept, resumed=resumed)
                return True
            except AttemptError as fault:
                self.reason, self.lost, self.wait_s = str(fault), fault.lasting, fault.wait_s
                self.unreached = fault.unreached
                if self.partial.size < most + settings.progress_bytes:
                    return False
                most = self.partial.size

    def _accept(self, accept: Accept, *, resumed: bool) -> None:
        """Hand the file over; one that came in parts and is not accepted is fetched whole once more."""
        try:
            accept(self.partial.path, self.address)
        except SourceError as error:
            self.partial.discard()
            raise AttemptError(str(error).rstrip("."), lasting=not resumed) from error
        self.partial.discard()


def _forget_others(addresses: Sequence[_Address]) -> None:
    """Remove the parts that other addresses gave."""
    for address in addresses:
        address.partial.discard()
