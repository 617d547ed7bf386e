"""The parameters of an out-of-distribution split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from mer_data.errors import SplitError
from mer_data.seeds import MAX_SEED
from mer_data.splits.defaults import GroupBy, default_of
from mer_data.splits.shift.divergence import MIN_COUNT, SMOOTHING
from mer_data.tasks import Task

KeepValid = Literal["iid", "ood"]

STEPS: dict[GroupBy, int] = {"utterance": 40, "video": 80}
MOST_RESTARTS, MOST_STEPS = 1000, 10_000
"""Bounds of the work that a manifest can ask for."""


class SearchVersionError(SplitError):
    """A split cannot be made again, as the search that made it has changed since."""


@dataclass(frozen=True, kw_only=True)
class RepartitionSettings:
    """Parameters of ``repartition``; a manifest records them all, and they make it again.

    Attributes:
        seed: of the starts, the proposals and the choice of validation; the same seed gives the same bytes.
        severity: 0 for the divergence of a random split, 1 for the largest that the search finds; in between
            linear in bits. None takes the calibrated default of the corpus and task
            (``mer_data.splits.defaults``). Towards 1 a split of utterances is adversarial: a model of words
            alone falls below chance, as words mean the opposite in test.
        min_count: utterances that a word must occur in to be measured. Rarer words are too few on a
            side to say anything about their labels.
        smoothing: utterances of the class prior that every word is given on each side, so that two or three
            sightings are not taken for a certainty.
        label_tolerance: greatest absolute difference between a class share in test and in the pool.
        group_by: what moves as a whole; "video" keeps every video, and so its speaker, in one fold. None
            takes the default of the corpus and task.
        keep_valid: where validation comes from: "iid" from the side of train, "ood" from that of test.
        sizes: utterances of train, valid and test; None takes those of the standard folds.
        restarts: searches from different starts, of which the one that came furthest is kept.
        steps_per_utterance: proposals of one search per utterance of the pool. None takes 40, and 80 for
            whole videos, of which many more proposals break a limit.

    Raises:
        SplitError: a value outside its range.
    """

    seed: int = 0
    severity: float | None = None
    min_count: int = MIN_COUNT
    smoothing: float = SMOOTHING
    label_tolerance: float = 0.02
    group_by: GroupBy | None = None
    keep_valid: KeepValid = "iid"
    sizes: tuple[int, int, int] | None = None
    restarts: int = 2
    steps_per_utterance: int | None = None

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.seed < 0:
            raise SplitError("negative seed", found=self.seed, expected="0 or more")
        if self.seed > MAX_SEED:
            raise SplitError("too large a seed", found=self.seed, expected=f"at most {MAX_SEED}")
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
            ("group_by", self.group_by, (None, *get_args(GroupBy))),
            ("keep_valid", self.keep_valid, get_args(KeepValid)),
        ):
            if value not in known:
                raise SplitError(
                    f"unknown {name}", found=repr(value), expected=" or ".join(filter(None, known))
                )
        if self.sizes is not None and (len(self.sizes) != 3 or min(self.sizes) < 1):
            raise SplitError("impossible sizes", found=self.sizes, expected="three numbers of at least 1")
        if self.restarts < 1:
            raise SplitError("too few restarts", found=self.restarts, expected="1 or more")
        if self.restarts > MOST_RESTARTS:
            raise SplitError("too many restarts", found=self.restarts, expected=f"at most {MOST_RESTARTS}")
        if self.steps_per_utterance is None:
            return
        if self.steps_per_utterance < 0:
            raise SplitError("negative number of steps", found=self.steps_per_utterance, expected="0 or more")
        if self.steps_per_utterance > MOST_STEPS:
            raise SplitError(
                "too many steps", found=self.steps_per_utterance, expected=f"at most {MOST_STEPS}"
            )

    def for_corpus(self, dataset: str, task: Task) -> RepartitionSettings:
        """The same with the defaults of the corpus and task in place of every None but that of ``sizes``."""
        group_by = self.group_by_for(dataset, task)
        steps = STEPS[group_by] if self.steps_per_utterance is None else self.steps_per_utterance
        return replace(
            self, group_by=group_by, severity=self.severity_for(dataset, task), steps_per_utterance=steps
        )

    def group_by_for(self, dataset: str, task: Task) -> GroupBy:
        """Return the unit that moves as a whole, or the default of the corpus and task."""
        return self.group_by or default_of(dataset, task.name).group_by

    def severity_for(self, dataset: str, task: Task) -> float:
        """The severity, or the default of the corpus and task for what moves."""
        if self.severity is not None:
            return self.severity
        return default_of(dataset, task.name).severity[self.group_by_for(dataset, task)]

    def recorded(self, severity: float) -> dict[str, Any]:
        """The parameters as a manifest records them, with the severity that was taken.

        ``version`` of the search is among them where it is not 1, as in the manifests of the first.
        """
        value = {**asdict(self), "severity": severity}
        value["sizes"] = None if self.sizes is None else list(self.sizes)
        version = search_version(self.group_by)
        return value if version == 1 else {**value, "version": version}

    @classmethod
    def from_recorded(cls, generator: Mapping[str, Any]) -> RepartitionSettings:
        """The parameters that a manifest records.

        Raises:
            SplitError: they were recorded by another version of the search, or one is unknown or impossible.
        """
        recorded = {name: value for name, value in generator.items() if name != "name"}
        made_by = recorded.pop("version", 1)
        try:
            if recorded.get("sizes") is not None:
                recorded["sizes"] = tuple(recorded["sizes"])
            settings = cls(**recorded)
        except TypeError as error:
            raise SplitError("the split records parameters of another version", found=error) from error
        if made_by != search_version(settings.group_by):
            raise SearchVersionError(
                "the split was made by another version of the search",
                found=made_by,
                expected=search_version(settings.group_by),
            )
        return settings


def search_version(group_by: GroupBy | None) -> int:
    """The version of the search: it rises when equal parameters come to give other splits.

    That of whole videos is 2 since folds have exactly the sizes asked for; 1 let them differ by 1 %.
    """
    return 2 if group_by == "video" else 1
