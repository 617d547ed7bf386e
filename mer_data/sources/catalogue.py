"""Source manifests: what a dataset consists of, checked against a schema before anything is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import mer_data
from mer_data.errors import SourceError
from mer_data.resources import resource_folder

Role = Literal["labels", "words", "audio", "vision"]


class _Strict(BaseModel):
    """Unknown keys are errors; values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FeatureSet(_Strict):
    """One published set of features (or labels, or words) and how it is recognised and prepared.

    ``frame_rate_hz`` is the rate to which unaligned streams are averaged; ``None`` keeps the frames.
    ``level: utterance`` means one row per segment, with the segment's own interval.
    """

    role: Role
    name: str
    roots: tuple[str, ...] = Field(min_length=1)
    columns: tuple[int, ...] | None = None
    frame_rate_hz: float | None = Field(default=None, gt=0)
    level: Literal["frame", "utterance"] = "frame"
    origin: str = ""

    def matches(self, root: str) -> bool:
        """Whether a file's root name is one of this set's (case and punctuation do not count)."""
        return _plain(root) in {_plain(known) for known in self.roots}


class Folds(_Strict):
    """Where the standard folds come from: the SDK's lists, or a JSON file in the source folder."""

    kind: Literal["sdk", "file"]
    name: str


class Limits(_Strict):
    """Longest rows that a model is served; a store itself keeps everything."""

    text: int = Field(gt=2)
    audio: int = Field(gt=0)
    vision: int = Field(gt=0)


class SourceManifest(_Strict):
    """Everything the builder must know about one dataset."""

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
    features: tuple[FeatureSet, ...]

    def find(self, root: str) -> FeatureSet | None:
        """The feature set whose root name is ``root``, if the manifest knows it."""
        return next((known for known in self.features if known.matches(root)), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def manifest_folder() -> Path:
    """Folder of the source manifests."""
    return resource_folder(mer_data.__file__, "manifests") / "sources"


def known_datasets() -> list[str]:
    """Names of the datasets with a source manifest."""
    return sorted(path.stem for path in manifest_folder().glob("*.yaml"))


def load_source_manifest(dataset: str) -> SourceManifest:
    """The manifest of ``dataset``.

    Raises:
        SourceError: the dataset is unknown, or the manifest breaks the schema.
    """
    path = manifest_folder() / f"{dataset}.yaml"
    if dataset not in known_datasets():
        raise SourceError("unknown dataset", found=repr(dataset), expected=" or ".join(known_datasets()))
    try:
        return SourceManifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SourceError(f"source manifest is not YAML ({error})", where=path) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SourceError(f"source manifest key {place!r}: {first['msg']}", where=path) from error
