"""What every source offers to the builder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mer_data.sources.catalogue import SourceManifest
from mer_data.utterances import UtteranceBlock


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
    def files(self) -> tuple[Path, ...]:
        """Every file that is read; their digests go into the store."""

    @property
    def streams(self) -> dict[str, Stream]:
        """ "audio" and "vision"."""

    @property
    def alignment(self) -> str | None:
        """The only alignment this source can give ("aligned" or "unaligned"); None: both."""

    @property
    def num_blocks(self) -> int:
        """How many blocks there are, for progress."""

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield the corpus, in the same order at every call."""

    def block(self, number: int) -> UtteranceBlock:
        """Block ``number`` of ``blocks()``, from 0."""
