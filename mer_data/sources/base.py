"""The interface of every source to the builder, and the choices that a person has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from mer_data.sources.catalogue import SourceManifest
from mer_data.utterances import DroppedUtterance, UtteranceBlock

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


@dataclass(frozen=True)
class Stream:
    """One modality of a source.

    Attributes:
        name: name of the feature set.
        columns: names of the d columns that blocks hold.
        frame_rate_hz: rate to which an unaligned store averages the frames; None keeps them.
    """

    name: str
    columns: tuple[str, ...]
    frame_rate_hz: float | None


class Source(Protocol):
    """A corpus in a foreign format, yielded in blocks so that it never has to fit in memory."""

    @property
    def manifest(self) -> SourceManifest:
        """The source manifest of the dataset."""

    @property
    def form(self) -> Literal["labels", "table"]:
        """Which of the manifest's ``expected`` counts it is compared with."""

    @property
    def listing(self) -> tuple[SourceFile, ...]:
        """Every file at hand: what it is used as, or why it is not used."""

    @property
    def dropped(self) -> Sequence[DroppedUtterance]:
        """Return what no block has, with reasons, such as videos of the folds that have no labels."""

    @property
    def word_shift(self) -> int:
        """By how many intervals words were moved; 0 as a rule."""

    @property
    def has_word_times(self) -> bool:
        """Whether words, or the frames themselves, say which frame belongs to which word."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is read; their digests go into the store."""

    @property
    def streams(self) -> dict[str, Stream]:
        """ "audio" and "vision", as far as the source has them; empty for texts alone."""

    @property
    def alignment(self) -> str | None:
        """The only alignment this source can give ("aligned" or "unaligned"); None: both."""

    def why_no_frames(self, modality: str) -> str:
        """Explain why no utterance has a frame of a modality."""

    @property
    def num_blocks(self) -> int:
        """How many blocks there are, for progress."""

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield the corpus, in the same order at every call."""

    def block(self, number: int) -> UtteranceBlock:
        """Block ``number`` of ``blocks()``, from 0."""
