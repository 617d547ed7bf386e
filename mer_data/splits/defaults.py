"""The defaults of a repartition on each corpus: which units move, and how far (docs/severity.md).

Calibrated so that a linear probe on frozen sentence embeddings loses what published models lose from the
standard to the paper's out-of-distribution folds of the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

GroupBy = Literal["utterance", "video"]


@dataclass(frozen=True)
class Default:
    """The defaults of one corpus and task.

    Attributes:
        group_by: what moves as a whole.
        severity: for each choice of what moves, how far.
    """

    group_by: GroupBy
    severity: Mapping[GroupBy, float]


# The 93 videos of CMU-MOSI shift so little that even the furthest is milder than the target.
_MOSI = {
    "binary": Default("utterance", {"utterance": 0.6, "video": 1.0}),
    "seven": Default("utterance", {"utterance": 0.4, "video": 1.0}),
}
_MOSEI = {
    "binary": Default("video", {"utterance": 0.25, "video": 0.6}),
    "seven": Default("video", {"utterance": 0.2, "video": 0.9}),
}
_CALIBRATED = {"mosi": _MOSI, "mosei": _MOSEI}


def default_of(dataset: str, task_name: str) -> Default:
    """The defaults of a corpus and task; a corpus that was not calibrated takes those of CMU-MOSI."""
    return _CALIBRATED.get(dataset, _MOSI)[task_name]
