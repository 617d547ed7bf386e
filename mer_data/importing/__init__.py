"""Files that came by hand: recognised by content, then put in their place or made into stores and splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_data.errors import MerDataError, SourceError, WriteError
from mer_data.importing.placing import Imported, ImportOptions, place
from mer_data.importing.processed import import_processed
from mer_data.progress import Progress
from mer_data.sources.recognise import Recognised, UnknownFileError, recognise

__all__ = ["ImportOptions", "ImportReport", "Imported", "import_path"]


@dataclass(frozen=True)
class ImportReport:
    """The outcome for every file at a path.

    Attributes:
        imported: those that were recognised.
        failed: source files that could not be taken in (damaged, or another file is in their place), with
            reasons.
        others: files that are nothing known, with reasons.
    """

    imported: tuple[Imported, ...]
    failed: dict[Path, str]
    others: dict[Path, str]


def import_path(
    path: str | Path, options: ImportOptions | None = None, progress: Progress | None = None
) -> ImportReport:
    """Import a file, or every file in a folder and below it.

    In a folder a file that fails does not keep the others out: it is listed with its reason.

    Args:
        path: file or folder; hidden files are left out.
        options: what the user says beyond the content.
        progress: called with blocks done and in total while a store is built.

    Raises:
        SourceError: nothing there, a single file that is nothing known, or a folder with nothing known.
        WriteError: the disk is full.
        MerDataError: a single file is damaged, or another one, a store or a split is in its place.
    """
    path = Path(path)
    options = options or ImportOptions()
    if not path.exists():
        raise SourceError("no such file or folder", found=str(path))
    if path.is_file():
        return ImportReport((_import(recognise(path, options.dataset), options, progress),), {}, {})
    imported: list[Imported] = []
    failed: dict[Path, str] = {}
    others: dict[Path, str] = {}
    for file in list(_files_below(path)):
        try:
            imported.append(_import(recognise(file, options.dataset), options, progress))
        except UnknownFileError as error:
            others[file] = str(error)
        except WriteError:
            raise  # nor would the next file find room
        except MerDataError as error:
            failed[file] = str(error)
        except OSError as error:
            failed[file] = f"{error.strerror or error}."
    if not imported and not failed:
        raise SourceError(
            "no file that is known",
            where=path,
            found=next(iter(others.values())).rstrip(".") if others else "no files",
            do="Pass --dataset NAME, or a file of a corpus that `mer-data sources` lists",
        )
    return ImportReport(tuple(imported), failed, others)


def _import(found: Recognised, options: ImportOptions, progress: Progress | None) -> Imported:
    return import_processed(found, options, progress) if found.source else place(found, options)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files in the order of their paths, without hidden ones and those in hidden folders."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inside):
            yield path
