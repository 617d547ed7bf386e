"""Room on the disk, checked before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from mer_data.errors import SourceError
from mer_data.sources.download.settings import DownloadSettings


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
