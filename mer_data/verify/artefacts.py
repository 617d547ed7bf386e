"""The files at a path: which are ours, of which kind, and which stores and splits are in the same folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mer_data.errors import WorkspaceError
from mer_data.files.hdf5_faults import FileKind, is_hdf5
from mer_data.files.hdf5_files import open_hdf5
from mer_data.files.writing import read_json
from mer_data.splits import SplitManifest, manifest
from mer_data.statistics import class_statistics, vocabulary
from mer_data.store import reader as store
from mer_data.store.reader import FeatureStore
from mer_data.verify.findings import DAMAGE
from mer_data.workspace import Workspace

Kind = Literal["store", "split", "statistics", "vocabulary"]

_FORMATS: dict[str, Kind] = {
    store.FORMAT: "store",
    manifest.FORMAT: "split",
    class_statistics.FORMAT: "statistics",
    vocabulary.FORMAT: "vocabulary",
}
# Folder of a dataset and ending of a file: what it must be, also where the file is too damaged to say so.
_PLACES: dict[tuple[str, str], Kind] = {
    ("store", ".h5"): "store",
    ("splits", ".json"): "split",
    ("statistics", ".h5"): "statistics",
    ("statistics", ".json"): "vocabulary",
}
_FOLDERS = ("raw", *dict.fromkeys(folder for folder, _ in _PLACES))

_ANY_FILE = FileKind("the file", WorkspaceError, "Make it again")


@dataclass(frozen=True)
class Artefact:
    """One of our files."""

    path: Path
    kind: Kind


def kind_of(path: Path) -> Kind | None:
    """Return the kind of a file: by its format, else by its folder; None for a foreign one."""
    found = _format_in(path)
    if found in _FORMATS:
        return _FORMATS[found]
    if found is not None:
        return None
    by_place = _PLACES.get((path.absolute().parent.name, path.suffix))
    return by_place or ("store" if is_hdf5(path) else None)


def _format_in(path: Path) -> str | None:
    """The format that a file states; "" where it is sound and states none, None where it is damaged."""
    try:
        if path.suffix == ".json":
            value = read_json(path)
            return str(value.get("format", "")) if isinstance(value, dict) else ""
        with open_hdf5(path, _ANY_FILE) as file:
            return str(file.attrs.get("format", ""))
    except DAMAGE:
        return None


def find_artefacts(path: Path) -> list[Artefact]:
    """The artefacts at a path: one file, those of a dataset's folder, or those of a whole workspace.

    Raises:
        WorkspaceError: nothing there, or nothing that we know.
    """
    if not path.exists():
        raise WorkspaceError(f"no such file or folder: {path}", do="Name a file or folder that is there")
    if path.is_file():
        kind = kind_of(path)
        if kind is None:
            raise WorkspaceError(
                f"{path} is nothing that mer-data makes",
                expected="a store, a split, statistics, a vocabulary (JSON) or a folder of them",
            )
        return [Artefact(path, kind)]
    found = [artefact for folder in dataset_folders(path) for artefact in _of_dataset(folder)]
    if not found:
        raise WorkspaceError(
            f"no store, split or statistics in {path}",
            expected="the folder of a dataset (with store, splits, statistics), or of several",
        )
    return found


def dataset_folders(path: Path) -> list[Path]:
    """``path`` when it is a dataset's folder, else the datasets' folders in it."""
    if any((path / name).is_dir() for name in _FOLDERS):
        return [path]
    return [folder for folder in sorted(path.iterdir()) if any((folder / name).is_dir() for name in _FOLDERS)]


def _of_dataset(folder: Path) -> Iterator[Artefact]:
    for (name, suffix), kind in _PLACES.items():
        for path in sorted((folder / name).glob(f"*{suffix}")):
            if not path.name.startswith("."):  # a file that is being written
                yield Artefact(path, kind)


@dataclass(frozen=True)
class Surroundings:
    """The sound stores and splits in the dataset of an artefact."""

    stores: tuple[FeatureStore, ...]
    splits: dict[Path, SplitManifest]

    def close(self) -> None:
        """Close the stores."""
        for known in self.stores:
            known.close()


def surroundings(artefact: Artefact) -> Surroundings:
    """Stores and splits in the dataset's folder around an artefact, or else in the workspace."""
    folder = artefact.path.absolute().parent
    nearby = surroundings_in(folder.parent) if folder.name in _FOLDERS else Surroundings((), {})
    if nearby.stores or artefact.kind != "split":
        return nearby
    try:
        return surroundings_in(Workspace(SplitManifest.load(artefact.path).dataset).root)
    except DAMAGE:
        return nearby


def surroundings_in(folder: Path) -> Surroundings:
    """The sound stores and splits of a dataset's folder; damaged ones have findings of their own."""
    stores, splits = [], {}
    for artefact in _of_dataset(folder):
        try:
            if artefact.kind == "store":
                opened = FeatureStore.open(artefact.path)
                for name in ("dataset", "utterance_digest", "content_digest", "vocabulary_digest"):
                    opened.attribute(name)
                stores.append(opened)
            elif artefact.kind == "split":
                splits[artefact.path] = SplitManifest.load(artefact.path)
        except DAMAGE:
            continue
    return Surroundings(tuple(stores), splits)
