"""What decides an out-of-distribution split."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mer_data.errors import SplitError
from mer_data.splits.divergence import MIN_COUNT, SMOOTHING
from mer_data.tasks import Task

GroupBy = Literal["utterance", "video"]
KeepValid = Literal["iid", "ood"]

DEFAULT_SEVERITY = {"binary": 0.6, "seven": 0.4}
"""Calibrated on CMU-MOSI: a linear probe on frozen sentence embeddings loses what published models lose from
the standard to the paper's out-of-distribution folds (docs/severity.md)."""
VIDEO_SEVERITY = 1.0
"""Whole videos shift so much less that even the furthest is milder than those defaults."""


@dataclass(frozen=True, kw_only=True)
class RepartitionSettings:
    """Parameters of ``repartition``; a manifest records them all, and they make it again.

    Attributes:
        seed: of the starts, the proposals and the choice of validation; the same seed gives the same bytes.
        severity: 0 for the divergence of a random split, 1 for the largest that the search finds; in between
            linear in bits. None takes the task's calibrated default (for videos the largest). Towards 1 a
            split of utterances is adversarial: a model of words alone falls below chance, as words mean
            the opposite in test.
        min_count: utterances that a word must occur in to be measured. Rarer words are too few on a
            side to say anything about their labels.
        smoothing: utterances of the class prior that every word is given on each side, so that two or three
            sightings are not taken for a certainty.
        label_tolerance: greatest absolute difference between a class share in test and in the pool.
        group_by: what moves as a whole; "video" keeps every video, and so its speaker, on one side.
        keep_valid: where validation comes from: "iid" from the side of train, "ood" from that of test.
        sizes: utterances of train, valid and test; None takes those of the standard folds.
        restarts: searches from different starts, of which the one that came furthest is kept.
        steps_per_utterance: proposals of one search per utterance of the pool.

    Raises:
        SplitError: a value outside its range.
    """

    seed: int = 0
    severity: float | None = None
    min_count: int = MIN_COUNT
    smoothing: float = SMOOTHING
    label_tolerance: float = 0.02
    group_by: GroupBy = "utterance"
    keep_valid: KeepValid = "iid"
    sizes: tuple[int, int, int] | None = None
    restarts: int = 2
    steps_per_utterance: int = 40

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.seed < 0:
            raise SplitError("negative seed", found=self.seed, expected="0 or more")
        if self.severity is not None and not 0 <= self.severity <= 1:
            raise SplitError(
                "impossible severity", found=self.severity, expected="0 (random) to 1 (strongest)"
            )
        if self.min_count < 1:
            raise SplitError("min_count is too small", found=self.min_count, expected="1 or more")
        if not 0 <= self.smoothing < math.inf:
            raise SplitError("impossible smoothing", found=self.smoothing, expected="0 or more")
        if not 0 <= self.label_tolerance <= 1:
            raise SplitError("label_tolerance is no share", found=self.label_tolerance, expected="0 to 1")
        for name, value, known in (
            ("group_by", self.group_by, get_args(GroupBy)),
            ("keep_valid", self.keep_valid, get_args(KeepValid)),
        ):
            if value not in known:
                raise SplitError(f"unknown {name}", found=repr(value), expected=" or ".join(known))
        if self.sizes is not None and (len(self.sizes) != 3 or min(self.sizes) < 1):
            raise SplitError("impossible sizes", found=self.sizes, expected="three numbers of at least 1")
        if self.restarts < 1:
            raise SplitError("too few restarts", found=self.restarts, expected="1 or more")
        if self.steps_per_utterance < 0:
            raise SplitError("negative number of steps", found=self.steps_per_utterance, expected="0 or more")

    def severity_of(self, task: Task) -> float:
        """The severity, or the default."""
        if self.severity is not None:
            return self.severity
        return VIDEO_SEVERITY if self.group_by == "video" else DEFAULT_SEVERITY[task.name]

    def recorded(self, severity: float) -> dict[str, Any]:
        """The parameters as a manifest records them, with the severity that was taken."""
        value = {**asdict(self), "severity": severity}
        value["sizes"] = None if self.sizes is None else list(self.sizes)
        return value
