"""The part of a file that has arrived so far, and what is needed to go on with it later."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_data.files import write_json


@dataclass(frozen=True)
class Version:
    """Which version of a file a server gives.

    Attributes:
        address: of the file on the server.
        total: its size in bytes, where the server says it.
        etag: a strong entity tag.
        modified: time of the last change, as the server writes it.
    """

    address: str = ""
    total: int | None = None
    etag: str | None = None
    modified: str | None = None

    @property
    def condition(self) -> str | None:
        """Value of the header ``If-Range``: a change makes the server begin anew."""
        return self.etag or self.modified


class Partial:
    """A file in the making, kept over breaks, kills and restarts.

    Bytes of one address never meet those of another, unless a known checksum says that both give the same.
    """

    def __init__(self, folder: Path, name: str, identity: str) -> None:
        """Use the part in ``folder``.

        Args:
            folder: where parts lie, on the disk of the target.
            name: of the file.
            identity: what all bytes of it must have in common: the address, or the known checksum.
        """
        folder.mkdir(parents=True, exist_ok=True)
        short = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self.path = folder / f"{name}.{short}.part"
        self._note = folder / f"{name}.{short}.json"

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> Version:
        """Version that the bytes are of; one that knows nothing where the note is lost."""
        try:
            return Version(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Version()

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.size > 0 and self.size == self.version.total

    def begin(self, version: Version) -> None:
        """Start anew with a version."""
        self.discard()
        self.path.touch()
        write_json(self._note, asdict(version))

    def discard(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
