"""Recognising a file by its content: its name does not matter.

Computational sequences are recognised by their root and their videos, pickles in MMSA's layout by the videos
of their ids, transcripts by their keys, and any file by a checksum that is published or recorded.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mer_data.errors import SourceError
from mer_data.files.hdf5_faults import SIGNATURE
from mer_data.files.writing import sha256_file
from mer_data.sources.broken_downloads import head_of, what_instead
from mer_data.sources.catalogue import (
    FeatureSet,
    Folds,
    PublishedFile,
    SourceManifest,
    known_datasets,
    load_source_manifest,
)
from mer_data.sources.content import is_pickle
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.sources.folds import standard_folds
from mer_data.sources.lock_file import SourceLock
from mer_data.sources.pickles.mmsa_pickle import MmsaPickle
from mer_data.sources.transcripts import read_transcripts
from mer_data.workspace import Workspace

MIN_SHARE = 0.5
"""Share of a file's videos that must be in the standard folds of the corpus that it is of."""

_SOURCE_SUFFIXES = (".csd", ".pkl", ".pickle", ".joblib")
_TRANSCRIPT = re.compile(rb'(?:\xef\xbb\xbf)?\s*"?[^",\r\n]+_[0-9]+"?,')  # a key and a comma
_NAME_A_DATASET = "Pass --dataset NAME, or describe the corpus with `mer-data new-source NAME`"


@dataclass(frozen=True)
class Recognised:
    """A file that was recognised.

    Attributes:
        path: the file.
        manifest: of its dataset.
        kind: "sequence", "transcripts", "folds", "processed" (a whole corpus), or "other": a checksum alone
            says what it is.
        name: name that a copy has in the raw folder.
        published: the published file that it is, where it is one.
        features: the feature set of a sequence, where it is one.
        source: a processed file, read.
    """

    path: Path
    manifest: SourceManifest
    kind: Literal["sequence", "transcripts", "folds", "processed", "other"]
    name: str
    published: PublishedFile | None = None
    features: FeatureSet | None = None
    source: MmsaPickle | None = None


class UnknownFileError(SourceError):
    """A file that is nothing known: it may be in a folder with source files without being an error."""


def recognise(path: Path, dataset: str | None = None) -> Recognised:
    """Recognise the file at ``path``, as one of the named dataset or of any known one.

    Raises:
        UnknownFileError: it is nothing that is known, or may be of several datasets.
        SourceError: it is a source file, or named as one, and damaged.
    """
    manifests = [load_source_manifest(name) for name in ([dataset] if dataset else known_datasets())]
    head = head_of(path)
    instead = what_instead(head)
    if instead is not None:
        kind = SourceError if path.suffix in _SOURCE_SUFFIXES else UnknownFileError
        raise kind(f"{instead[0]}, not a source file", where=path, do=instead[1])
    if head.startswith(SIGNATURE):
        return _sequence(path, manifests)
    if is_pickle(head):
        return _processed(path, manifests)
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return _folds(path, manifests)
    return _transcripts(path, manifests)


Known = tuple[SourceManifest, PublishedFile]


def _by_checksum(path: Path, manifests: Sequence[SourceManifest], suffix: str) -> Known | None:
    """The published file with this file's checksum, where one is published or recorded."""
    candidates: list[tuple[str, Known]] = []
    for manifest in manifests:
        recorded = SourceLock(Workspace(manifest.dataset).source_lock).read()
        for _, file in manifest.published():
            if file.sha256 is not None:
                candidates.append((f"sha256:{file.sha256}", (manifest, file)))
            elif file.name in recorded:
                candidates.append((recorded[file.name].sha256, (manifest, file)))
    candidates = [(sha256, known) for sha256, known in candidates if known[1].name.endswith(suffix)]
    found = sha256_file(path) if candidates else None
    return next((known for sha256, known in candidates if sha256 == found), None)


def _sequence(path: Path, manifests: Sequence[SourceManifest]) -> Recognised:
    sequence = ComputationalSequence(path)
    sequence.close()
    known = _by_checksum(path, manifests, ".csd")
    if known is not None:
        manifest, file = known
        features = manifest.feature_set(file.key)
        kind: Literal["sequence", "other"] = "other" if features is None else "sequence"
        return Recognised(path, manifest, kind, file.name, file, features)
    fitting = [(manifest, manifest.find(sequence.root)) for manifest in manifests]
    fitting = [(manifest, features) for manifest, features in fitting if features is not None]
    if not fitting:
        raise UnknownFileError(
            f"no source manifest knows the root {sequence.root!r}", where=path, do=_NAME_A_DATASET
        )
    manifest = _only(path, [manifest for manifest, _ in fitting], sequence.videos, known_root=True)
    features = next(found for of, found in fitting if of is manifest)
    published = next((f for _, f in manifest.published() if features and f.key == features.name), None)
    name = published.name if published else path.name
    return Recognised(path, manifest, "sequence", name, published, features)


def _processed(path: Path, manifests: Sequence[SourceManifest]) -> Recognised:
    known = _by_checksum(path, manifests, ".pkl")
    if known is not None:
        manifest, file = known
        return Recognised(path, manifest, "processed", file.name, file, source=MmsaPickle(path, manifest))
    source = MmsaPickle(path, lambda videos: _only(path, manifests, videos))
    return Recognised(path, source.manifest, "processed", path.name, source=source)


def _folds(path: Path, manifests: Sequence[SourceManifest]) -> Recognised:
    own = [manifest for manifest in manifests if manifest.folds.kind == "file"]
    videos = standard_folds(Folds(kind="file", name=path.name), path.parent)
    manifest = _only(path, own, videos)
    return Recognised(path, manifest, "folds", manifest.folds.name)


def _transcripts(path: Path, manifests: Sequence[SourceManifest]) -> Recognised:
    if not _TRANSCRIPT.match(head_of(path)):
        raise UnknownFileError(
            "not a source file",
            where=path,
            expected="a .csd file, a pickle in MMSA's layout, a CSV of transcripts, or folds as JSON",
        )
    videos = {video for video, _ in read_transcripts(path)}
    manifest = _only(path, [known for known in manifests if known.transcripts], videos)
    return Recognised(path, manifest, "transcripts", str(manifest.transcripts))


def _only(
    path: Path, manifests: Sequence[SourceManifest], videos: Iterable[str], *, known_root: bool = False
) -> SourceManifest:
    """The one dataset that a file with these videos can be of.

    Folds name the videos of a corpus. One whose folds are not at hand is taken where it is the only one, or
    where its manifest knows the root and the file is of no other.
    """
    own = set(videos)
    shares = {manifest.dataset: _share(own, manifest) for manifest in manifests}
    fitting = [known for known in manifests if (shares[known.dataset] or 0.0) >= MIN_SHARE]
    if not fitting and (known_root or len(manifests) == 1):
        fitting = [known for known in manifests if shares[known.dataset] is None]
    if len(fitting) == 1:
        return fitting[0]
    if len(manifests) == 1:
        raise UnknownFileError(
            f"less than half of its videos are in the standard folds of {manifests[0].dataset}",
            where=path,
            found=f"video {min(own, default='none')!r}",
        )
    names = ", ".join(manifest.dataset for manifest in fitting)
    raise UnknownFileError(
        "cannot tell which dataset it is of", where=path, found=names or None, do=_NAME_A_DATASET
    )


def _share(videos: set[str], manifest: SourceManifest) -> float | None:
    """Share of the videos that the standard folds name; None where the folds are not at hand."""
    raw = Workspace(manifest.dataset).raw
    if manifest.folds.kind == "file" and not (raw / manifest.folds.name).is_file():
        return None
    return len(videos & set(standard_folds(manifest.folds, raw))) / max(len(videos), 1)
