"""Foreign formats as utterance blocks: one module per format."""

from __future__ import annotations

from pathlib import Path

from mer_data.errors import SourceError
from mer_data.sources.base import Source, SourceChoices, SourceFile, Stream
from mer_data.sources.broken_downloads import refuse_broken_download
from mer_data.sources.catalogue import SourceManifest, known_datasets, load_source_manifest

__all__ = [
    "Source",
    "SourceChoices",
    "SourceFile",
    "SourceManifest",
    "Stream",
    "known_datasets",
    "load_source_manifest",
    "open_source",
]


_PICKLES = (".pkl", ".pickle", ".joblib", ".gz", ".bz2", ".xz", ".lzma", ".z")


def open_source(dataset: str, path: str | Path, choices: SourceChoices | None = None) -> Source:
    """Open a folder of ``.csd`` files, a pickle in MMSA's layout, or MMSA's table of labels.

    A folder without ``.csd`` files that has one such table is the table.

    Args:
        dataset: name of a source manifest.
        path: folder, a file of ``pickle`` or ``joblib``, perhaps compressed, or a CSV.
        choices: between the files of a folder; None leaves all to the content.

    Raises:
        SourceError: unknown dataset, missing path, an unusable file, or choices that a single file has not.
    """
    path = Path(path)
    manifest = load_source_manifest(dataset)
    choices = choices or SourceChoices()
    if path.is_dir():
        table = _only_table(path, choices)
        if table is None:
            from mer_data.sources.csd.folder import ComputationalSequences

            return ComputationalSequences(path, manifest, choices)
        path = table
    refuse_broken_download(path)
    if path.is_file() and (path.suffix.lower() in _PICKLES or path.suffix.lower() == ".csv"):
        _refuse_choices(path, choices)
        if path.suffix.lower() == ".csv":
            from mer_data.sources.label_table import LabelTable

            return LabelTable(path, manifest)
        from mer_data.sources.pickles.mmsa_pickle import MmsaPickle

        return MmsaPickle(path, manifest)
    raise SourceError(
        "no source",
        found=str(path),
        expected="a folder of .csd files, an MMSA .pkl file, or a .csv table of labels",
        do=f"Pass --source with the files of {manifest.title}"
        + (", or run `mer-data sample` first" if dataset == "sample" else "")
        + (f", or run `mer-data download {dataset}` first" if manifest.collections else ""),
    )


def _only_table(folder: Path, choices: SourceChoices) -> Path | None:
    """The table of labels of a folder that has no computational sequence."""
    from mer_data.sources.label_table import is_label_table

    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if choices.files or any(path.suffix.lower() == ".csd" for path in files):
        return None
    tables = [path for path in files if path.suffix.lower() == ".csv" and is_label_table(path)]
    if len(tables) > 1:
        raise SourceError(
            "several tables of labels",
            where=folder,
            found=", ".join(path.name for path in tables),
            do="Pass one of them as --source",
        )
    return tables[0] if tables else None


def _refuse_choices(path: Path, choices: SourceChoices) -> None:
    """One file has no other files to choose from."""
    given = [f"--{role}" for role in choices.files]
    given += ["--without"] if choices.without else []
    given += ["--shift-words"] if choices.shift_words else []
    if given:
        raise SourceError(
            f"{' and '.join(given)} choose between the files of a folder", where=path, do="Leave them out"
        )
