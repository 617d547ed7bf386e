"""Source manifests: what a dataset consists of and where it is published, checked against a schema.

Those of this package are in ``manifests/sources``; a user's own are in the workspace, one in the folder of
each dataset (``mer-data new-source``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mer_data.errors import SourceError, did_you_mean
from mer_data.files.resources import resource_folder
from mer_data.files.strict_model import Number, StrictModel, WholeNumber, load_model
from mer_data.workspace import Workspace, home

Role = Literal["labels", "words", "audio", "vision"]
FileRole = Literal["labels", "words", "audio", "vision", "text", "processed"]
Via = Literal["http", "hub", "manual"]


class FeatureSet(StrictModel):
    """One published set of features (or labels, or words) and how it is recognised and prepared.

    ``frame_rate_hz`` is the rate to which unaligned streams are averaged; ``None`` keeps the frames.
    ``level: utterance`` means one row per segment, with the segment's own interval. Labels become
    ``value * scale + shift``, which has to lie in [-3, 3].
    """

    role: Role
    name: str
    roots: tuple[str, ...] = Field(min_length=1)
    columns: tuple[Annotated[WholeNumber, Field(ge=0)], ...] | None = None
    frame_rate_hz: Number | None = Field(default=None, gt=0, le=100_000)
    level: Literal["frame", "utterance"] = "frame"
    scale: Number = 1.0
    shift: Number = 0.0
    origin: str = ""

    @model_validator(mode="after")
    def _check(self) -> FeatureSet:
        if self.role != "labels" and (self.scale, self.shift) != (1.0, 0.0):
            raise ValueError("scale and shift are for labels only")
        return self

    def matches(self, root: str) -> bool:
        """Whether a file's root name is one of this set's (case and punctuation do not count)."""
        return _plain(root) in {_plain(known) for known in self.roots}

    def names(self, path: Path) -> bool:
        """Whether a file is named as this set or one of its roots; names of three letters are no sign."""
        known = {_plain(name) for name in (self.name, *self.roots)}
        return any(name in _plain(path.stem) for name in known if len(name) > 3)


class Folds(StrictModel):
    """Where the standard folds come from: the SDK's lists, or a JSON file in the source folder."""

    kind: Literal["sdk", "file"]
    name: str


class Limits(StrictModel):
    """Longest rows that a model is served; a store itself keeps everything."""

    text: WholeNumber = Field(gt=2, le=100_000)
    audio: WholeNumber = Field(gt=0, le=1_000_000)
    vision: WholeNumber = Field(gt=0, le=1_000_000)


class Expected(StrictModel):
    """The known counts of the published files, with their oddities.

    Attributes:
        videos: with labels.
        segments: with labels.
        folds: segments in "train", "valid", "test" and in no fold ("none").
    """

    videos: WholeNumber = Field(gt=0)
    segments: WholeNumber = Field(gt=0)
    folds: dict[Literal["train", "valid", "test", "none"], WholeNumber]


class PublishedFile(StrictModel):
    """One file that somebody publishes.

    Attributes:
        key: short name, unique in the dataset; that of its feature set where it has one.
        role: what it is for; "processed" files hold a whole corpus.
        name: name of the copy in the ``raw`` folder.
        default: whether a download takes it without being asked.
        sdk: where the CMU Multimodal SDK ships its first address: "dictionary/key".
        addresses: in the order in which they are tried.
        path: where it is in a hub repository (one ``*`` matches any name) or in a shared folder.
        bytes: its size, where known.
        sha256: its checksum in hexadecimal, where known.
        task: the task that a processed file was divided for.
    """

    key: str = Field(pattern=r"^[a-z0-9_]+$")
    role: FileRole
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    default: bool = False
    sdk: str | None = None
    addresses: tuple[str, ...] = ()
    path: str | None = None
    bytes: WholeNumber | None = Field(default=None, gt=0, le=1 << 50)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    task: Literal["binary", "seven"] | None = None

    @model_validator(mode="after")
    def _check(self) -> PublishedFile:
        for address in self.addresses:
            if not re.match(r"https?://[^/\s]+/\S+$", address):
                raise ValueError(f"{address!r} is not an http address")
        return self


class Widths(StrictModel):
    """Feature columns by which processed files of a publication are recognised."""

    audio: WholeNumber = Field(gt=0)
    vision: WholeNumber = Field(gt=0)


class Collection(StrictModel):
    """Files that were published together.

    Attributes:
        name: short name, unique in the dataset.
        via: "http": fetched from addresses; "hub": from a repository of the Hugging Face hub; "manual": a
            person has to fetch them from ``page``.
        repository: of the hub, a data set.
        page: where a person finds the files.
        kind: of the split that processed files bring.
        widths: of processed files, where they differ from those of other publications.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    via: Via
    repository: str | None = None
    page: str | None = None
    kind: Literal["standard", "ood", "cross_dataset"] | None = None
    widths: Widths | None = None
    licence: str = ""
    citation: str = ""
    files: tuple[PublishedFile, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Collection:
        for known in self.files:
            if self.via == "http" and not known.addresses:
                raise ValueError(f"file {known.key!r} needs addresses")
            if self.via == "hub" and not (self.repository and known.path):
                raise ValueError(f"file {known.key!r} needs a repository and a path")
            if self.via == "manual" and not self.page:
                raise ValueError(f"file {known.key!r} needs a page")
            if (known.role == "processed") != (self.kind is not None):
                raise ValueError(f"file {known.key!r}: processed files, and only they, have a kind")
        return self


class SourceManifest(StrictModel):
    """Everything the builder must know about one dataset, and where its files are published.

    ``expected`` says what is in the label file ("labels") and in MMSA's table and pickles ("table"), which
    lack some of its segments. ``clip_ids`` names the file with MMSA's clip numbers, where these are other
    numbers than those of segments.
    """

    schema_version: Literal[1]
    dataset: str
    title: str
    licence: str
    citation: str
    folds: Folds
    limits: Limits
    tokenizer: str
    silence_tokens: tuple[str, ...] = ()
    transcripts: str | None = None
    expected: dict[Literal["labels", "table"], Expected] = Field(default_factory=dict)
    clip_ids: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    features: tuple[FeatureSet, ...]
    collections: tuple[Collection, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> SourceManifest:
        names = [known.name for known in self.collections] + [file.key for _, file in self.published()]
        for what, values in (
            ("collection or file", names),
            ("file name", [file.name for _, file in self.published()]),
        ):
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                raise ValueError(f"{what} {twice[0]!r} stands twice")
        return self

    def published(self) -> Iterator[tuple[Collection, PublishedFile]]:
        """Every published file with its collection."""
        return ((collection, file) for collection in self.collections for file in collection.files)

    def feature_set(self, key: str) -> FeatureSet | None:
        """The feature set called ``key``, if there is one."""
        return next((known for known in self.features if known.name == key), None)

    def find(self, root: str) -> FeatureSet | None:
        """The feature set whose root name is ``root``, if the manifest knows it."""
        return next((known for known in self.features if known.matches(root)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def manifest_folder() -> Path:
    """Folder of the packaged source manifests."""
    return resource_folder(Path(__file__).resolve().parents[1], "manifests") / "sources"


def packaged_datasets() -> list[str]:
    """Names of the datasets whose source manifest comes with this package."""
    return sorted(path.stem for path in manifest_folder().glob("*.yaml"))


def known_datasets() -> list[str]:
    """Names of the datasets with a source manifest, packaged or in the workspace."""
    own = {path.parent.name for path in home().glob(f"*/{Workspace.SOURCE_MANIFEST}")}
    return sorted({*packaged_datasets(), *own})


def manifest_path(dataset: str) -> Path:
    """The source manifest of ``dataset``; a packaged one comes before one in the workspace.

    Raises:
        SourceError: the dataset is unknown.
    """
    if dataset not in known_datasets():
        raise SourceError(
            "unknown dataset",
            found=repr(dataset),
            expected=" or ".join(known_datasets()),
            do=did_you_mean(dataset, known_datasets())
            or (
                f"Describe a corpus of your own with `mer-data new-source {dataset}`"
                if re.fullmatch(r"[a-z0-9_-]+", dataset)
                else None
            ),
        )
    packaged = manifest_folder() / f"{dataset}.yaml"
    return packaged if packaged.is_file() else Workspace(dataset).source_manifest


def load_source_manifest(dataset: str) -> SourceManifest:
    """The manifest of ``dataset``.

    Raises:
        SourceError: the dataset is unknown, or the manifest breaks the schema.
    """
    path = manifest_path(dataset)
    manifest = read_source_manifest(path)
    if manifest.dataset != dataset:
        raise SourceError(
            "source manifest key 'dataset' is not the name of its place",
            where=path,
            found=repr(manifest.dataset),
            expected=repr(dataset),
        )
    return manifest


def read_source_manifest(path: str | Path) -> SourceManifest:
    """The manifest in a file.

    Raises:
        SourceError: not YAML, or it breaks the schema.
    """
    path = Path(path)
    return load_model(path, SourceManifest, "source manifest", SourceError)
