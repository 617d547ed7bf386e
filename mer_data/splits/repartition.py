"""An out-of-distribution split: in test, words go with other labels than in train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import SplitError
from mer_data.progress import Progress, part_of_progress
from mer_data.splits.initial_assignment import (
    InitialAssignment,
    assign_utterances,
    assign_videos,
    random_units,
    reachable_size,
    rest_limits,
    share_deviation,
    share_limits,
    stratified_sample,
)
from mer_data.splits.manifest import SplitManifest
from mer_data.splits.pool import Pool, make_pool
from mer_data.splits.search import DivergenceTable, SwapSearch
from mer_data.splits.settings import RepartitionSettings
from mer_data.splits.shift.measure import ShiftMeter
from mer_data.splits.standard import ids_by_fold
from mer_data.tasks import Task
from mer_data.utterances import FOLDS

GENERATOR = "repartition"
_VALID_STREAM = 2**31
"""Second part of the seed for the choice of validation; the restarts count from 0."""


def repartition(
    utterances: pd.DataFrame,
    *,
    dataset: str,
    utterance_digest: str,
    task: Task,
    settings: RepartitionSettings,
    severities: Sequence[float] | None = None,
    progress: Progress | None = None,
) -> list[SplitManifest]:
    """Search for sides with a large word-to-label divergence (method section 1, OOD), one split a severity.

    Annealing (``mer_data.splits.search``) moves utterances, or whole videos, between the sides; class shares
    and sentence lengths stay those of the pool, so that the words alone shift. All severities are states
    that one search came through: they have equal sizes, and the divergence rises strictly.

    Args:
        utterances: the frame of a store (``mer_data.utterances.UTTERANCE_COLUMNS``).
        dataset: name of the corpus.
        utterance_digest: the store's digest.
        task: gives the classes; a split is made for one task.
        settings: the parameters, which the manifests record.
        severities: several levels in [0, 1]; None takes the one of the settings.
        progress: called with the proposals done and all proposals, about a hundred times.

    Raises:
        SplitError: sizes or a tolerance that cannot be met, folds of fewer than three utterances, a class
            that no utterance has, no word that is frequent enough, no swap that changes the divergence, or
            severities too close to each other for this corpus.
    """
    settings = settings.for_corpus(dataset, task)
    levels = [settings.severity_for(dataset, task)] if severities is None else list(severities)
    for level in levels:
        replace(settings, severity=level)  # refuses an impossible one before the search
    pool = make_pool(utterances, task, settings)
    found = _strongest(pool, settings, progress)
    meter = ShiftMeter(
        pool.frame, task, min_count=settings.min_count, smoothing=settings.smoothing, words=pool.words
    )
    manifests = []
    for level, swaps in zip(levels, _swaps_at(found, levels), strict=True):
        folds = _folds(pool, found.search.state(swaps)[found.unit_of], settings)
        _check_folds(pool, folds, settings)
        manifests.append(
            SplitManifest(
                dataset=dataset,
                task=task.name,
                kind="ood",
                generator={"name": GENERATOR, **settings.recorded(level)},
                utterance_digest=utterance_digest,
                splits=ids_by_fold(pool.frame, folds),
                dropped=pool.dropped,
                shift=meter.measure(
                    folds,
                    valid_with="train" if settings.keep_valid == "iid" else "test",
                    random_units=settings.group_by,
                ),
            )
        )
    return manifests


def regenerate(manifest: SplitManifest, utterances: pd.DataFrame, task: Task) -> SplitManifest:
    """The split that the recorded parameters give; equal to ``manifest`` where nothing was changed by hand.

    Raises:
        SearchVersionError: the search has changed since.
        SplitError: it was not made by ``repartition``, or a recorded parameter is unknown or impossible.
    """
    if manifest.generator.get("name") != GENERATOR:
        raise SplitError(
            "the split was not made by repartition",
            found=repr(manifest.generator.get("name")),
            expected=GENERATOR,
        )
    settings = RepartitionSettings.from_recorded(manifest.generator)
    (again,) = repartition(
        utterances,
        dataset=manifest.dataset,
        utterance_digest=manifest.utterance_digest,
        task=task,
        settings=settings,
    )
    return again


@dataclass(frozen=True)
class _SearchResult:
    """A search, and which of its steps have the size asked for.

    Attributes:
        search: its shifted side (U,) at any of its steps.
        unit_of: the unit of every utterance (N,).
        gained: divergence above the start's after each number of swaps, in the search's whole numbers.
        has_size: whether the shifted side has the size of the start then.
    """

    search: SwapSearch
    unit_of: NDArray[np.int64]
    gained: NDArray[np.int64]
    has_size: NDArray[np.bool_]

    @property
    def furthest(self) -> int:
        """The largest gain at the size asked for."""
        return int(self.gained[self.has_size].max())

    def first_with(self, gain: float) -> int:
        """After how many swaps the search first has the size asked for and that gain."""
        return int(np.argmax(self.has_size & (self.gained >= gain)))


def _strongest(pool: Pool, settings: RepartitionSettings, progress: Progress | None) -> _SearchResult:
    """Search from several starts; the first of the best is kept."""
    unit_of = pool.units(settings.group_by)
    table = DivergenceTable(pool.table, unit_of, int(unit_of.max()) + 1, settings.smoothing)

    def search(restart: int) -> _SearchResult:
        rng = np.random.default_rng([settings.seed, restart])
        start = _start(pool, unit_of, settings, rng)
        limits, sizes = start.limits, np.bincount(unit_of)
        found = SwapSearch(table, start.shifted, kinds=start.kinds, limits=limits, rng=rng, sizes=sizes)
        steps = (settings.steps_per_utterance or 0) * len(pool.frame)
        found.run(steps, part_of_progress(progress, restart * steps, steps, settings.restarts * steps))
        return _SearchResult(found, unit_of, found.totals - found.totals[0], found.keeps_size())

    return max(
        map(search, range(settings.restarts)),
        key=lambda found: found.furthest + int(found.search.totals[0]),  # starts differ too
    )


def _start(
    pool: Pool, unit_of: NDArray[np.int64], settings: RepartitionSettings, rng: np.random.Generator
) -> InitialAssignment:
    if settings.group_by == "video":
        return assign_videos(pool.table, unit_of, pool.num_shifted, settings.label_tolerance, rng)
    return assign_utterances(pool.table, pool.num_shifted, rng)


def _swaps_at(found: _SearchResult, severities: Sequence[float]) -> list[int]:
    """After how many swaps the search first reached each part of its way up."""
    if found.furthest == 0 and max(severities) > 0:
        raise SplitError(
            "no swap changes the divergence",
            found=f"severity {max(severities):g} asked for",
            do="Take severity 0, lower --min-count, or build the store from more of the corpus",
        )
    swaps = [found.first_with(severity * found.furthest) for severity in severities]
    for one, other in combinations(range(len(swaps)), 2):
        if swaps[one] == swaps[other]:
            raise SplitError(
                "two severities are the same split: one swap leads past both",
                found=f"{severities[one]} and {severities[other]}",
                do="Leave one of them out, or build the store from more of the corpus",
            )
    return swaps


def _folds(pool: Pool, shifted: NDArray[np.bool_], settings: RepartitionSettings) -> NDArray[np.str_]:
    """The fold of every utterance (N,): validation is a random part of its side, with its class shares."""
    side, other = ("train", "test") if settings.keep_valid == "iid" else ("test", "train")
    rows = np.flatnonzero(shifted == (side == "test"))
    folds = np.where(shifted == (side == "test"), side, other).astype("<U5")
    rng = np.random.default_rng([settings.seed, _VALID_STREAM])
    size = pool.sizes["valid"]
    if settings.group_by == "utterance":
        chosen = stratified_sample(pool.table.classes[rows], size, rng)
    else:
        _, units = np.unique(pool.units("video")[rows], return_inverse=True)
        classes, tolerance = pool.table.classes[rows], settings.label_tolerance
        sizes = np.bincount(units)
        size = reachable_size(sizes, size)
        limits = share_limits(units, [(classes, tolerance)], size, 0.0)
        if side == "test":
            limits = limits.together_with(rest_limits(units, classes, pool.table.prior, tolerance))
        chosen = random_units(limits, sizes, size, rng)[units]
    folds[rows[chosen]] = "valid"
    return folds


def _check_folds(pool: Pool, folds: NDArray[np.str_], settings: RepartitionSettings) -> None:
    """Refuse an empty fold, and a test fold whose class shares are too far from the pool's."""
    for fold in FOLDS:
        if not (folds == fold).any():
            raise SplitError(f'no whole video fits in fold "{fold}"', do="Give larger --sizes to it")
    deviation = share_deviation(pool.table.classes, folds == "test")
    if deviation > settings.label_tolerance + 1e-9:  # shares that are equal may differ by rounding
        raise SplitError(
            "the label tolerance cannot be met",
            found=f"class shares in test within {deviation:.4f} of the corpus's",
            expected=f"within {settings.label_tolerance}",
            do=f"Raise --label-tolerance to {np.ceil(deviation * 1000) / 1000:.3f} or more",
        )
