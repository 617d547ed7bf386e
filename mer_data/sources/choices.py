"""What a person may say of a source, and what became of each of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE_SUFFIXES = (".csd", ".csv")
"""A choice that ends so, or has a folder in it, is a path; anything else is the name of a feature set."""


@dataclass(frozen=True)
class SourceChoices:
    """Choices between the files of a source folder.

    Attributes:
        files: for "labels", "words", "transcripts", "audio" and "vision" the name of a feature set or the
            path of a file; a role that is absent is found by itself.
        without: modalities ("audio", "vision") that the store is to do without.
        shift_words: every word takes the interval so many places further on in its video; -1 repairs a file
            in which each word has its successor's interval.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    shift_words: int = 0

    def path(self, role: str, folder: Path) -> Path | None:
        """The chosen file of ``role``, as given or in the folder; None where none is chosen by path."""
        chosen = self.files.get(role)
        if chosen is None:
            return None
        given = Path(chosen).expanduser()
        if given.suffix.lower() not in FILE_SUFFIXES and len(given.parts) == 1 and not given.is_file():
            return None
        inside = folder / given
        return inside if not given.is_absolute() and inside.is_file() else given

    def name(self, role: str, folder: Path) -> str | None:
        """The chosen feature set of ``role``; None where none is chosen by name."""
        return None if self.path(role, folder) is not None else self.files.get(role)


@dataclass(frozen=True)
class SourceFile:
    """A file of a source.

    Attributes:
        path: where it is.
        role: its use ("labels", "words", "transcripts", "audio", "vision", "folds", "corpus"); None where it
            has none.
        reason: how its role was found, or why it is not used.
    """

    path: Path
    role: str | None
    reason: str

    @property
    def line(self) -> str:
        """One line for people."""
        return f"{self.role or 'not used'}: {self.path.name} ({self.reason})"
