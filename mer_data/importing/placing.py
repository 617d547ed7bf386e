"""Source files into the raw folder, under the names that downloads give them, verified and recorded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mer_data.errors import SourceError
from mer_data.files.writing import complete_or_absent, refuse_overwrite, sha256_file
from mer_data.sources.content import check_file
from mer_data.sources.lock_file import Recorded, SourceLock
from mer_data.sources.recognise import Recognised
from mer_data.splits.manifest import SplitKind
from mer_data.utterances import DroppedUtterance
from mer_data.workspace import Workspace

ORIGIN = "imported"


@dataclass(frozen=True)
class ImportOptions:
    """The user's choices beyond the content of the files.

    Attributes:
        dataset: the corpus, where the content does not show it.
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


def place(found: Recognised, options: ImportOptions) -> Imported:
    """Copy, link or rename a recognised file to its place.

    A file that is in the raw folder already is renamed. What is there under the name stays, unless it is the
    same or ``force`` is on.

    Raises:
        SourceError: it is not the published or recorded file, or another one is in its place.
    """
    workspace = Workspace(found.manifest.dataset)
    target = workspace.raw / found.name
    lock = SourceLock(workspace.source_lock)
    recorded = _checked(found, lock, force=options.force)
    what = found.features.name if found.features else found.kind
    if target.exists() and sha256_file(target) == recorded.sha256:
        lock.record(found.name, recorded, replace=options.force)
        return Imported(found.path, workspace.dataset, what, target, None, "present")
    refuse_overwrite(target, force=options.force, error=SourceError, option=None)
    target.parent.mkdir(parents=True, exist_ok=True)
    if found.path.resolve().parent == workspace.raw.resolve():
        found.path.replace(target)
    elif options.link:
        target.unlink(missing_ok=True)
        target.symlink_to(found.path.resolve())
    else:
        with complete_or_absent(target) as partial:
            shutil.copyfile(found.path, partial)
    lock.record(found.name, recorded, replace=options.force)
    return Imported(found.path, workspace.dataset, what, target, None, "new")


def _checked(found: Recognised, lock: SourceLock, *, force: bool) -> Recorded:
    """Size and checksum; with ``force`` a recorded checksum does not count, a published one does."""
    if found.published is not None:
        return check_file(found.path, found.published, found.manifest, None if force else lock, ORIGIN)
    sha256 = sha256_file(found.path)
    if not force:
        lock.check(found.name, sha256, found.path)
    return Recorded(found.path.stat().st_size, sha256, ORIGIN)
