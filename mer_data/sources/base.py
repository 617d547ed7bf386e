"""What every source offers to the builder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mer_data.sources.catalogue import SourceManifest
from mer_data.sources.choices import SourceFile
from mer_data.utterances import DroppedUtterance, UtteranceBlock


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
        """What is left out of every block, with reasons, such as videos of the folds that have no labels."""

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
        """What was found where no utterance has a frame of a modality."""

    @property
    def num_blocks(self) -> int:
        """How many blocks there are, for progress."""

    def blocks(self) -> Iterator[UtteranceBlock]:
        """Yield the corpus, in the same order at every call."""

    def block(self, number: int) -> UtteranceBlock:
        """Block ``number`` of ``blocks()``, from 0."""
