"""What a source has, compared with what its publisher's files are known to have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from mer_data.errors import SourceError
from mer_data.sources.catalogue import Expected
from mer_data.tasks import LABEL_RANGE
from mer_data.utterances import FOLDS, NO_FOLD, DroppedUtterance

LEAST_SHARE = 0.5
"""Share of the videos of the standard folds below which a source is plainly another corpus."""
NO_LABELS = "a video of the standard folds without labels"


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
