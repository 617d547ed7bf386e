"""How patient a download is, and how much room it leaves on the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mer_data.errors import SourceError


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


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that ``folder`` is or will be on."""
    present = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(present).free


def check_space(folder: Path, num_bytes: int, settings: DownloadSettings) -> None:
    """Refuse to write ``num_bytes`` into a folder whose disk has no room for them.

    Raises:
        SourceError: the disk would be left with less than ``spare_bytes``.
    """
    free = free_bytes(folder)
    if num_bytes + settings.spare_bytes > free:
        raise SourceError(
            "not enough space on the disk",
            where=folder,
            found=f"{free / 1e9:.2f} GB",
            expected=f"{(num_bytes + settings.spare_bytes) / 1e9:.2f} GB",
            do="Make room, or set MER_DATA_HOME to a folder on another disk",
        )
