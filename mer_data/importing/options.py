"""What goes into an import, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mer_data.splits.manifest import SplitKind
from mer_data.utterances import DroppedUtterance


@dataclass(frozen=True)
class ImportOptions:
    """What the user says beyond the content of the files.

    Attributes:
        dataset: the corpus, where the content does not tell it.
        kind: of the split that a processed file brings, where it is not the one that is recognised.
        task: the task that the split was made for.
        name: of store and split, in place of the publication's.
        tokenizer: see ``mer_data.build.build_store``.
        link: link to source files instead of copying them.
        force: replace what is there.
    """

    dataset: str | None = None
    kind: SplitKind | None = None
    task: Literal["binary", "seven"] | None = None
    name: str | None = None
    tokenizer: str | None = None
    link: bool = False
    force: bool = False


@dataclass(frozen=True)
class Imported:
    """One file that was recognised.

    Attributes:
        path: where it was.
        dataset: what corpus it is of.
        what: what it is, for a person.
        target: its place in the raw folder, or the store that was made of it.
        split: the split manifest that was made of it.
        state: "present" where everything was there before.
        changed: named counts of what was changed or found while a store was built.
        dropped: what could not be kept in it, with reasons.
    """

    path: Path
    dataset: str
    what: str
    target: Path
    split: Path | None
    state: Literal["new", "present"]
    changed: dict[str, int] = field(default_factory=dict)
    dropped: tuple[DroppedUtterance, ...] = ()
