"""Source files into the raw folder, under the names that downloads give them, verified and recorded."""

from __future__ import annotations

import shutil

from mer_data.errors import SourceError
from mer_data.files.writing import complete_or_absent, refuse_overwrite, sha256_file
from mer_data.importing.options import Imported, ImportOptions
from mer_data.sources.content import check_file
from mer_data.sources.lock_file import Recorded, SourceLock
from mer_data.sources.recognise import Recognised
from mer_data.workspace import Workspace

ORIGIN = "imported"


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
