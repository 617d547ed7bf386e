"""Which files of a dataset are wanted, where they come from, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mer_data.errors import SourceError, did_you_mean
from mer_data.sources.catalogue import (
    Collection,
    PublishedFile,
    SourceManifest,
    Via,
    load_source_manifest,
)
from mer_data.sources.lock_file import SourceLock
from mer_data.workspace import Workspace

EVERYTHING = "all"
PARTS_FOLDER = ".download"


@dataclass(frozen=True)
class PlannedFile:
    """One wanted file.

    Attributes:
        collection: what it was published with.
        file: what is published.
        via: how it is had: that of the collection, or "http" from a mirror.
        addresses: in the order in which they are tried.
        target: where it goes.
    """

    collection: Collection
    file: PublishedFile
    via: Via
    addresses: tuple[str, ...]
    target: Path

    @property
    def present(self) -> bool:
        """Whether there is a file in its place; it need not be the right one."""
        return self.target.is_file()

    @property
    def origin(self) -> str:
        """Where it comes from, for a person."""
        if self.via == "http":
            return " or ".join(self.addresses)
        if self.via == "hub":
            return f"hub:{self.collection.repository}/{self.file.path}"
        return f"by hand from {self.collection.page}" + (f", {self.file.path}" if self.file.path else "")

    @property
    def parts_folder(self) -> Path:
        """Where its parts lie until it is complete."""
        return self.target.parent / PARTS_FOLDER


@dataclass(frozen=True)
class Plan:
    """A download that is about to happen."""

    manifest: SourceManifest
    workspace: Workspace
    files: tuple[PlannedFile, ...]

    @property
    def lock(self) -> SourceLock:
        """The lock file of the dataset."""
        return SourceLock(self.workspace.source_lock)


def plan_download(dataset: str, only: Sequence[str] = (), mirror: str | None = None) -> Plan:
    """Plan the download of a dataset.

    Args:
        dataset: name of a source manifest.
        only: roles, keys of files, names of collections, or "all"; empty: what a build needs.
        mirror: address of a folder that has copies under their own names, or under the paths of the original
            addresses; nothing else is asked then.

    Raises:
        SourceError: nothing is published of the dataset, or a word of ``only`` means nothing.
    """
    manifest = load_source_manifest(dataset)
    if not manifest.collections:
        how = (
            "Make it with `mer-data sample`"
            if dataset == "sample"
            else "Bring its files with `mer-data import`"
        )
        raise SourceError(f"nothing is published of {dataset} for a download", do=how)
    workspace = Workspace(dataset)
    chosen = choose_files(manifest, only)
    base = None if mirror is None else _checked_mirror(mirror)
    return Plan(
        manifest,
        workspace,
        tuple(
            PlannedFile(
                collection,
                file,
                collection.via if base is None else "http",
                file.addresses if base is None else _on_mirror(base, file),
                workspace.raw / file.name,
            )
            for collection, file in chosen
        ),
    )


def choose_files(manifest: SourceManifest, only: Sequence[str]) -> list[tuple[Collection, PublishedFile]]:
    """The files that words mean, in the order of the manifest.

    A role means the default files of that role, or all of it where there is no default.

    Raises:
        SourceError: a word means nothing.
    """
    published = list(manifest.published())
    meanings: dict[str, set[str]] = {EVERYTHING: {file.key for _, file in published}}
    for role in dict.fromkeys(file.role for _, file in published):
        of_role = [file for _, file in published if file.role == role]
        meanings[role] = {file.key for file in of_role if file.default} or {file.key for file in of_role}
    meanings |= {known.name: {file.key for file in known.files} for known in manifest.collections}
    for _, file in published:  # a file called like a role is of that role
        meanings[file.key] = meanings.get(file.key, set()) | {file.key}
    unknown = [word for word in only if word not in meanings]
    if unknown:
        raise SourceError(
            f"nothing of {manifest.dataset} is called {unknown[0]!r}",
            expected=", ".join(meanings),
            do=did_you_mean(unknown[0], meanings),
        )
    keys = {key for word in only for key in meanings[word]} or {f.key for _, f in published if f.default}
    return [(collection, file) for collection, file in published if file.key in keys]


def _checked_mirror(mirror: str) -> str:
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SourceError(
            "a mirror is the http address of a folder",
            found=repr(mirror),
            do="Files that are on this machine come in by `mer-data import PATH`",
        )
    return mirror.rstrip("/")


def _on_mirror(base: str, file: PublishedFile) -> tuple[str, ...]:
    """Where a mirror may have a file: by its names, then by the paths of its addresses."""
    paths = [urlsplit(address).path.lstrip("/") for address in file.addresses]
    if file.path and "*" not in file.path:
        paths.append(file.path)
    names = [file.name, *(path.rpartition("/")[2] for path in paths)]
    return tuple(f"{base}/{path}" for path in dict.fromkeys([*names, *paths]))
