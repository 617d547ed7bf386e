"""Foreign formats as utterance blocks: one module per format."""

from __future__ import annotations

from pathlib import Path

from mer_data.errors import SourceError
from mer_data.sources.base import Source, Stream
from mer_data.sources.catalogue import SourceManifest, known_datasets, load_source_manifest

__all__ = ["Source", "SourceManifest", "Stream", "known_datasets", "load_source_manifest", "open_source"]


_PICKLES = (".pkl", ".pickle", ".joblib", ".gz", ".bz2", ".xz", ".lzma", ".z")


def open_source(dataset: str, path: Path, *, audio: str | None = None, vision: str | None = None) -> Source:
    """The source at ``path``: a folder of ``.csd`` files, or a pickle in MMSA's layout.

    Args:
        dataset: name of a source manifest.
        path: folder, or a file of ``pickle`` or ``joblib``, perhaps compressed.
        audio: name of the audio set where the folder has several.
        vision: name of the vision set where the folder has several.

    Raises:
        SourceError: unknown dataset, missing path, or an unusable file.
    """
    manifest = load_source_manifest(dataset)
    if path.is_dir():
        from mer_data.sources.computational_sequences import ComputationalSequences

        return ComputationalSequences(path, manifest, {"audio": audio, "vision": vision})
    if path.suffix in _PICKLES and path.is_file():
        from mer_data.sources.mmsa_pickle import MmsaPickle

        return MmsaPickle(path, manifest)
    raise SourceError(
        "no source",
        found=str(path),
        expected="a folder of .csd files or an MMSA .pkl file",
        do=f"Pass --source with the files of {manifest.title}"
        + (", or run `mer-data sample` first" if dataset == "sample" else "")
        + (f", or run `mer-data download {dataset}` first" if manifest.collections else ""),
    )
