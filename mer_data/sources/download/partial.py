"""The part of a file that has arrived so far, and what is needed to go on with it later."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from mer_data.files.writing import read_json, write_json


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

    def continues(self, other: Version) -> bool:
        """Whether the bytes of ``other`` are surely of the same version of the file."""
        if self.etag is None and other.etag is None:
            return self.modified is not None and self.modified == other.modified
        return self.etag == other.etag

    def contradicts(self, other: Version) -> bool:
        """Whether both have an entity tag, and not the same."""
        return self.etag is not None and other.etag is not None and self.etag != other.etag


class Partial:
    """A file in the making, kept over breaks, kills and restarts.

    Bytes of one address never meet those of another, unless a known checksum says that both give the same.
    """

    def __init__(self, folder: Path, name: str, address: str, sha256: str | None) -> None:
        """Use the part in ``folder``.

        Args:
            folder: where parts lie, on the disk of the target.
            name: of the file.
            address: that its bytes come from.
            sha256: its checksum, where known.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._checked = sha256 is not None
        short = hashlib.sha256((sha256 or address).encode()).hexdigest()[:8]
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
            return Version(**read_json(self._note))
        except (OSError, ValueError, TypeError):
            return Version()

    @property
    def complete(self) -> bool:
        """Whether all bytes are there."""
        return self.size > 0 and self.size == self.version.total

    def resumes(self, address: str) -> bool:
        """Whether it makes sense to ask ``address`` for the rest.

        Without a checksum to compare in the end, the server has to be able to say whether its file is still
        the same.
        """
        known = self.version
        return self.size > 0 and (self._checked or (known.address == address and known.condition is not None))

    def goes_on_with(self, version: Version) -> bool:
        """Whether a range of ``version`` may be appended."""
        known = self.version
        if known.address != version.address:
            return self._checked
        return known.continues(version) or (self._checked and not known.contradicts(version))

    def begin(self, version: Version) -> None:
        """Start anew with a version."""
        self.discard()
        self.path.touch()
        write_json(self._note, asdict(version))

    def discard(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
