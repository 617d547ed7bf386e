"""Utterances, videos, hours and classes of a fold: what corpus pages and dataset cards count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mer_data.reports.formatting import count_and_share
from mer_data.tasks import TASKS


@dataclass(frozen=True)
class FoldFacts:
    """Counts of one fold, or of any other set of utterances.

    Attributes:
        name: of the fold.
        num_utterances: N.
        num_videos: videos that they are from.
        hours: of their segments; None where no times are known.
        counts: for each task, utterances of every class.
    """

    name: str
    num_utterances: int
    num_videos: int
    hours: float | None
    counts: dict[str, dict[str, int]]

    @classmethod
    def from_utterances(cls, name: str, utterances: pd.DataFrame) -> FoldFacts:
        """Count the rows of a store's frame of utterances."""
        seconds = (utterances["end_s"] - utterances["start_s"]).to_numpy(np.float64)
        timed = seconds[np.isfinite(seconds)]
        labels = utterances["label"].to_numpy(np.float64)
        counts: dict[str, dict[str, int]] = {}
        for task in TASKS.values():
            found = np.bincount(task.class_of(labels), minlength=task.num_classes)
            counts[task.name] = dict(zip(task.classes, found.tolist(), strict=True))
        return cls(
            name,
            len(utterances),
            int(utterances["video_id"].nunique()),
            float(timed.sum()) / 3600 if len(timed) else None,
            counts,
        )

    def classes(self, task: str) -> dict[str, str]:
        """For every class of a task its utterances and their share, as text."""
        return {name: count_and_share(n, self.num_utterances) for name, n in self.counts[task].items()}
