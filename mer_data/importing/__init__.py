"""Files that came by hand: told by content, then put in their place or made into stores and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_data.errors import SourceError
from mer_data.importing.options import Imported, ImportOptions
from mer_data.importing.placing import place
from mer_data.importing.processed import import_processed
from mer_data.sources.recognise import Recognised, recognise

__all__ = ["ImportOptions", "ImportReport", "Imported", "import_path"]


@dataclass(frozen=True)
class ImportReport:
    """What became of the files at a path.

    Attributes:
        imported: those that were recognised.
        others: those that were not, with reasons.
    """

    imported: tuple[Imported, ...]
    others: dict[Path, str]


def import_path(
    path: Path, options: ImportOptions | None = None, progress: Callable[[int, int], None] | None = None
) -> ImportReport:
    """Import a file, or every file in a folder and below it.

    Args:
        path: file or folder; hidden files are left out.
        options: what the user says beyond the content.
        progress: called with blocks done and in total while a store is built.

    Raises:
        SourceError: nothing there, a single file that is nothing known, or a folder with nothing known.
        MerDataError: a file, store or split is there already and differs.
    """
    options = options or ImportOptions()
    if not path.exists():
        raise SourceError("no such file or folder", found=str(path))
    if path.is_file():
        return ImportReport((_import(recognise(path, options.dataset), options, progress),), {})
    imported, others = [], {}
    for file in list(_files_below(path)):
        try:
            found = recognise(file, options.dataset)
        except SourceError as error:
            others[file] = str(error)
        else:
            imported.append(_import(found, options, progress))
    if not imported:
        raise SourceError(
            "no file that is known",
            where=path,
            found=next(iter(others.values())).rstrip(".") if others else "no files",
            do="Pass --dataset NAME, or a file of a corpus that `mer-data sources` lists",
        )
    return ImportReport(tuple(imported), others)


def _import(
    found: Recognised, options: ImportOptions, progress: Callable[[int, int], None] | None
) -> Imported:
    return import_processed(found, options, progress) if found.source else place(found, options)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files in the order of their paths, without hidden ones and those in hidden folders."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in inside):
            yield path
