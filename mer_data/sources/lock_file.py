"""The lock file of a dataset: size and checksum of every source file as it was first met."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from mer_data.errors import SourceError
from mer_data.files.writing import read_json, write_json

FORMAT = "mer-data/source-lock"
VERSION = 1


@dataclass(frozen=True)
class Recorded:
    """The recorded facts of one file.

    Attributes:
        bytes: its size.
        sha256: its checksum as ``sha256:<hex>``.
        origin: the address that it came from, or how else it came.
    """

    bytes: int
    sha256: str
    origin: str


class SourceLock:
    """Checksums of source files by name, in a JSON file that several processes may write."""

    def __init__(self, path: Path) -> None:
        """Use the lock file at ``path``, which need not exist."""
        self.path = path

    def read(self) -> dict[str, Recorded]:
        """Every recorded file.

        Raises:
            SourceError: the lock file is damaged, or of a newer version.
        """
        if not self.path.exists():
            return {}
        try:
            value = read_json(self.path)
            if value["format"] != FORMAT or value["version"] > VERSION:
                raise ValueError(f"format {value['format']!r}, version {value['version']}")
            return {str(name): _parse(entry) for name, entry in value["files"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(
                f"damaged lock file ({type(error).__name__}: {error})",
                where=self.path,
                do="Mend it, or delete it to record the files anew",
            ) from error

    def check(self, name: str, sha256: str, path: Path) -> None:
        """Refuse a file whose checksum is not the recorded one; one that is not recorded passes.

        Raises:
            SourceError: the checksums differ.
        """
        known = self.read().get(name)
        if known is not None and known.sha256 != sha256:
            raise SourceError(
                f"{name} is not the file that was recorded first in {self.path} ({known.origin})",
                where=path,
                found=sha256,
                expected=known.sha256,
                do="If the publisher replaced it and you want the new one, delete its entry there",
            )

    def record(self, name: str, recorded: Recorded, *, replace: bool = False) -> None:
        """Remember a file, unless it is remembered already; ``replace`` forgets what was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            files = self.read()
            if name in files and (not replace or files[name] == recorded):
                return
            files[name] = recorded
            entries = {key: asdict(files[key]) for key in sorted(files)}
            write_json(self.path, {"format": FORMAT, "version": VERSION, "files": entries})


def _parse(entry: Any) -> Recorded:
    return Recorded(int(entry["bytes"]), str(entry["sha256"]), str(entry["origin"]))
