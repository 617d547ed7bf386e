"""How patient a download is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DownloadSettings:
    """Limits of a download.

    Attributes:
        connect_timeout_s: a server that does not answer within this time is down.
        read_timeout_s: a connection that brings nothing for this long is broken.
        slow_window_s: a connection is measured over windows of this length ...
        slow_bytes: ... and broken off where a window brings fewer bytes.
        attempts: how often each address is tried; one that brings ``progress_bytes`` is tried on.
        progress_bytes: how much a broken connection must have brought to be no failure.
        backoff_s: pause before the second attempt; it doubles each time ...
        max_backoff_s: ... up to this.
        max_redirects: how many redirections are followed.
        workers: files that are fetched at once.
        spare_bytes: space that must remain on the disk.
        hub_endpoint: address of the hub; None: the official one, or that in ``HF_ENDPOINT``.
    """

    connect_timeout_s: float = 15.0
    read_timeout_s: float = 60.0
    slow_window_s: float = 60.0
    slow_bytes: int = 1 << 16
    attempts: int = 4
    progress_bytes: int = 1 << 20
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    max_redirects: int = 5
    workers: int = 4
    spare_bytes: int = 1 << 26
    hub_endpoint: str | None = None

    def pause_s(self, failures: int) -> float:
        """Pause after so many failures (1, 2, ...)."""
        return float(min(self.backoff_s * 2.0 ** (failures - 1), self.max_backoff_s))
