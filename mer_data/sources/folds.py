"""Standard folds, and a source compared with what its publisher's files are known to have."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from mer_data.errors import SourceError
from mer_data.files.writing import read_json
from mer_data.sources.catalogue import Expected, Folds
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FOLDS, NO_FOLD, DroppedUtterance

LEAST_SHARE = 0.5
"""Share of the videos of the standard folds below which a source is plainly another corpus."""
NO_LABELS = "a video of the standard folds without labels"


def standard_folds(folds: Folds, source_folder: Path) -> dict[str, str]:
    """Fold of every listed video, from the SDK's lists or from a JSON file in the source folder.

    Raises:
        SourceError: the file is missing or broken, or a video is in two folds.
    """
    lists = _sdk_lists(folds.name) if folds.kind == "sdk" else _file_lists(source_folder / folds.name)
    where = f"the SDK's {folds.name}" if folds.kind == "sdk" else str(source_folder / folds.name)
    result: dict[str, str] = {}
    for fold, videos in lists.items():
        for video in videos:
            if video in result:
                raise SourceError(f"video {video} is in two folds ({result[video]}, {fold})", where=where)
            result[video] = fold
    return result


def _sdk_lists(name: str) -> dict[str, list[str]]:
    """The SDK's lists, from the file they are in: the SDK itself would import torch."""
    spec = find_spec("mmsdk")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    path = folder / "mmdatasdk/dataset/standard_datasets" / name.upper() / f"{name}_std_folds.py"
    if not path.is_file():
        raise SourceError(
            f"the CMU Multimodal SDK has no folds of {name}",
            where=path,
            do="Install it: pip install cmu-multimodal-sdk",
        )
    lists = runpy.run_path(str(path))
    return {fold: list(lists[f"standard_{fold}_fold"]) for fold in FOLDS}


def _file_lists(path: Path) -> dict[str, list[str]]:
    try:
        lists = read_json(path)
    except OSError as error:
        raise SourceError(f"cannot read the folds ({error.strerror})", where=path) from error
    except ValueError as error:
        raise SourceError(f"folds are not JSON ({error})", where=path) from error
    if not isinstance(lists, dict) or set(lists) != set(FOLDS):
        raise SourceError("folds need the keys train, valid and test", where=path)
    for fold in FOLDS:
        if not isinstance(lists[fold], list):
            raise SourceError(f"fold {fold!r} is not a list of videos", where=path)
        strange = [video for video in lists[fold] if not isinstance(video, str)]
        if strange:
            raise SourceError(
                f"fold {fold!r} has a video that is no text", where=path, found=repr(strange[0])[:80]
            )
    return {fold: list(lists[fold]) for fold in FOLDS}


def check_label(name: str, label: float, where: Path) -> None:
    """Refuse a label that is not in the range of this package.

    Raises:
        SourceError: with the utterance's id.
    """
    if not LABEL_RANGE[0] <= label <= LABEL_RANGE[1]:
        raise SourceError(
            f"label of utterance {name} is out of range",
            where=where,
            found=label,
            expected="a number in [-3, 3]",
        )


class PublishedCount:
    """Counts what a source gives, block by block, before anything is left out."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._videos: set[str] = set()
        self._folds: Counter[str] = Counter()

    def add(self, frame: pd.DataFrame) -> None:
        """Count the utterances of a block."""
        self._videos.update(frame["video_id"])
        self._folds.update(frame["fold"].tolist())

    def compare(self, expected: Expected) -> str:
        """One line: "as published", or what differs."""
        found = {"videos": len(self._videos), "segments": sum(self._folds.values())}
        wanted = {"videos": expected.videos, "segments": expected.segments}
        folds: Mapping[str, int] = {str(fold): count for fold, count in expected.folds.items()}
        for fold in (*FOLDS, NO_FOLD):
            name = f"in {'no fold' if fold == NO_FOLD else fold}"
            found[name], wanted[name] = self._folds[fold], int(folds.get(fold, 0))
        different = [
            f"{found[name]:,} {name} (published: {wanted[name]:,})"
            for name in found
            if found[name] != wanted[name]
        ]
        if different:
            return "Differs from what is published: " + ", ".join(different) + "."
        return (
            "As published: " + ", ".join(f"{count:,} {name}" for name, count in found.items() if count) + "."
        )


def videos_without_labels(
    folds: dict[str, str], videos: Iterable[str], where: Path
) -> list[DroppedUtterance]:
    """The videos that a fold names and the labels lack; they are no reason to stop, unless they are most.

    Raises:
        SourceError: less than half of the videos of the folds have labels.
    """
    known = set(videos)
    absent = sorted(set(folds) - known)
    if len(folds) - len(absent) < LEAST_SHARE * len(folds):
        raise SourceError(
            f"{len(absent)} of the {len(folds)} videos of the standard folds have no labels",
            where=where,
            found=f"{len(known)} videos, such as {min(known, default='none')!r}",
            expected=f"at least {LEAST_SHARE:.0%} of the videos of the folds, such as {min(folds)!r}",
            do="Pass the --dataset that the files are of, or the complete label file",
        )
    return [DroppedUtterance(video, NO_LABELS) for video in absent]
