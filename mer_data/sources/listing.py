"""The known datasets, and which of their files are on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mer_data.errors import SourceError, did_you_mean
from mer_data.sources.catalogue import (
    Collection,
    PublishedFile,
    SourceManifest,
    known_datasets,
    load_source_manifest,
)
from mer_data.sources.content import check_file
from mer_data.sources.lock_file import SourceLock
from mer_data.workspace import Workspace

FileState = Literal["absent", "there", "verified", "wrong"]


@dataclass(frozen=True)
class DatasetState:
    """A dataset and its place in the workspace.

    Attributes:
        manifest: its source manifest.
        num_wanted: files that a build needs.
        num_present: those of them that are in the raw folder.
        stores: names of its stores.
        splits: names of its split manifests.
    """

    manifest: SourceManifest
    num_wanted: int
    num_present: int
    stores: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True)
class FileStateOf:
    """A published file and its copy.

    Attributes:
        collection: what it was published with.
        file: what is published.
        state: "there" where it was not looked into; "wrong" where a check failed.
        note: why it is wrong.
    """

    collection: Collection
    file: PublishedFile
    state: FileState
    note: str = ""


def dataset_states() -> tuple[list[DatasetState], dict[str, str]]:
    """Every known dataset; and of those whose manifest is broken, what is wrong, by name."""
    states, broken = [], {}
    for name in known_datasets():
        try:
            states.append(_state(load_source_manifest(name)))
        except SourceError as error:
            broken[name] = str(error)
    return states, broken


def _state(manifest: SourceManifest) -> DatasetState:
    workspace = Workspace(manifest.dataset)
    wanted = [file.name for _, file in manifest.published() if file.default]
    return DatasetState(
        manifest,
        len(wanted),
        sum((workspace.raw / name).is_file() for name in wanted),
        tuple(sorted(path.stem for path in (workspace.root / "store").glob("*.h5"))),
        tuple(sorted(path.stem for path in (workspace.root / "splits").glob("*.json"))),
    )


def file_states(dataset: str, *, check: bool = False) -> list[FileStateOf]:
    """Every published file of a dataset.

    Args:
        dataset: name of a source manifest.
        check: read every file that is there and compare its checksum with the published or recorded one.

    Raises:
        SourceError: unknown dataset, or a damaged lock file.
    """
    manifest = load_source_manifest(dataset)
    workspace = Workspace(dataset)
    lock = SourceLock(workspace.source_lock)
    known = lock.read()
    states = []
    for collection, file in manifest.published():
        path = workspace.raw / file.name
        state: FileState = "there" if path.is_file() else "absent"
        note = ""
        if state == "there" and file.name in known and known[file.name].bytes != path.stat().st_size:
            state, note = "wrong", f"{path.stat().st_size} bytes, recorded were {known[file.name].bytes}"
        elif state == "there" and check:
            try:
                check_file(path, file, manifest, lock, "")
                state = "verified"
            except SourceError as error:
                state, note = "wrong", str(error)
        states.append(FileStateOf(collection, file, state, note))
    return states


def citations(dataset: str, also: Sequence[str] = ()) -> list[str]:
    """BibTeX of a dataset, and of the collections named, or of "all" of them.

    Raises:
        SourceError: no such dataset or collection.
    """
    manifest = load_source_manifest(dataset)
    known = {collection.name: collection for collection in manifest.collections}
    unknown = [name for name in also if name != "all" and name not in known]
    if unknown:
        raise SourceError(
            f"no collection {unknown[0]!r} of {dataset}",
            expected=", ".join([*known, "all"]),
            do=did_you_mean(unknown[0], known),
        )
    chosen = [collection for name, collection in known.items() if name in also or "all" in also]
    return [text.strip() for text in (manifest.citation, *(c.citation for c in chosen)) if text.strip()]
