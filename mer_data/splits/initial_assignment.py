"""Random sides of a split that keep sizes, class shares and sentence lengths: where a search starts.

Letters: N utterances of the pool, U units (utterances or videos), C classes, K limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SplitError
from mer_data.splits.search import Limits
from mer_data.splits.shift.words import WordTable

MOST_STRATA = 10
CELL_SIZE = 5
"""Utterances of the shifted side that a cell of class and length should have, for swaps to have a choice."""
SIZE_TOLERANCE = 0.01
LENGTH_TOLERANCE = 0.05
LENGTH_BANDS = 3
REPAIR_TRIALS = 20_000
START_TRIALS = 4
"""Fresh choices of videos: mending swaps keep their number, which may be the wrong one."""


@dataclass(frozen=True)
class InitialAssignment:
    """A random shifted side and what every swap has to keep.

    Attributes:
        shifted: units on the shifted side (U,).
        kinds: units of one kind may be swapped (U,).
        limits: further limits, for units that are not alike. They leave the size some room, as few swaps
            keep it exactly; states of the start's size are the ones to take.
    """

    shifted: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    limits: Limits | None


def assign_utterances(table: WordTable, size: int, rng: np.random.Generator) -> InitialAssignment:
    """A start whose cells of class and sentence length have their share of the pool to within one utterance.

    The pool is cut into strata of equal size by number of frequent words; a swap stays within its class and
    stratum. Were only the class shares of the whole side kept, the search would find a side whose long
    sentences are negative and whose short ones are positive: that shifts all words at once, and says
    nothing about any of them.
    """
    num_strata = int(np.clip(size // (CELL_SIZE * len(table.prior)), 1, MOST_STRATA))
    cells = table.classes * num_strata + length_strata(table, num_strata, rng)
    return InitialAssignment(stratified_sample(cells, size, rng), cells, None)


def assign_videos(
    table: WordTable, unit_of: NDArray[np.int64], size: int, label_tolerance: float, rng: np.random.Generator
) -> InitialAssignment:
    """A start of whole videos: of the size asked for, with class shares and sentence lengths near the pool's.

    Where no choice of videos has that size, it is the nearest that one has. On its way, a search may differ
    from it by 1 %, or by half of the smallest video where that is more.

    Raises:
        SplitError: no such choice of videos was found.
    """
    bands = length_strata(table, LENGTH_BANDS, rng)
    sizes = np.bincount(unit_of)
    keys = [(table.classes, label_tolerance), (bands, LENGTH_TOLERANCE)]
    nearest_size = reachable_size(sizes, size)
    slack = max(1.0, SIZE_TOLERANCE * size, sizes.min() / 2)
    exact = share_limits(unit_of, keys, nearest_size, 0.0)
    shifted = random_units(exact, sizes, nearest_size, rng)
    if abs(nearest_size - size) <= slack and exact.allow(exact.rows[shifted].sum(axis=0)):
        limits = share_limits(unit_of, keys, nearest_size, slack)
        return InitialAssignment(shifted, np.zeros(len(sizes), dtype=np.int64), limits)
    nearest = shifted[unit_of]
    deviation, off = (share_deviation(key, nearest) for key, _ in keys)
    raised = f"Raise --label-tolerance to {np.ceil(deviation * 1000) / 1000:.3f} or more, or change"
    raise SplitError(
        "found no choice of whole videos that keeps the size, the class shares and the sentence lengths",
        found=f"at best {int(nearest.sum())} utterances, class shares within {deviation:.4f} of the corpus's,"
        f" thirds by length within {off:.4f}",
        expected=f"{size} utterances within {slack:g}, shares within {label_tolerance:g}, thirds within"
        f" {LENGTH_TOLERANCE:g}",
        do=f"{raised if deviation > label_tolerance else 'Change'} --sizes",
    )


def reachable_size(sizes: NDArray[np.int64], size: int) -> int:
    """The number of utterances nearest to ``size`` that some units have together; of two, the smaller.

    Args:
        sizes: utterances of every unit (U,), at least two units.
        size: utterances asked for.

    Returns:
        At least that of the smallest unit, and less than all.
    """
    sums = 1  # bit n is set where some units have n utterances together
    for unit_size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        left, taken = int(number), 1
        while left:  # 1, 2, 4 ... of them, so that a size of many units costs few steps
            sums |= sums << (int(unit_size) * min(taken, left))
            left, taken = left - min(taken, left), 2 * taken
    sums &= (1 << int(sizes.sum())) - 2  # neither nothing nor all
    for distance in range(size + int(sizes.sum())):
        for reached in (size - distance, size + distance):
            if reached > 0 and sums >> reached & 1:
                return reached
    return size


def share_deviation(key: NDArray[np.int64], chosen: NDArray[np.bool_]) -> float:
    """Greatest absolute difference between a value's share of ``key`` (N,) among ``chosen`` and among all."""
    values = int(key.max()) + 1
    shares = np.bincount(key[chosen], minlength=values) / max(int(chosen.sum()), 1)
    return float(np.abs(shares - np.bincount(key) / len(key)).max())


def share_limits(
    unit_of: NDArray[np.int64],
    keys: list[tuple[NDArray[np.int64], float]],
    size: int,
    slack: float,
) -> Limits:
    """Limits that keep the size to some utterances, and each value's share of every key (N,) to a tolerance.

    |n_v - share_v n| <= tolerance n is linear in what a unit adds to n_v (its utterances with value v) and n.
    """
    num_units = int(unit_of.max()) + 1
    sizes = np.bincount(unit_of, minlength=num_units).astype(np.float64)
    rows, most = [sizes, -sizes], [size + slack, slack - size]
    for key, tolerance in keys:
        for value in np.unique(key):
            chosen = key == value
            excess = np.bincount(unit_of[chosen], minlength=num_units) - chosen.mean() * sizes
            rows += [excess - tolerance * sizes, -excess - tolerance * sizes]
            most += [0.0, 0.0]
    return Limits(np.stack(rows, axis=1), np.array(most))


def rest_limits(
    unit_of: NDArray[np.int64], key: NDArray[np.int64], shares: NDArray[np.float64], tolerance: float
) -> Limits:
    """Limits on a choice of units after which the rest keeps the share of each value of ``key`` (N,).

    E_v - e_v <= tolerance (n - s) and its opposite, where a choice of s utterances has e_v more of value v
    than its share, and all n have E_v more.
    """
    sizes = np.bincount(unit_of).astype(np.float64)
    rows, most = [], []
    for value, share in enumerate(shares):
        excess = np.bincount(unit_of[key == value], minlength=len(sizes)) - share * sizes
        rows += [tolerance * sizes - excess, tolerance * sizes + excess]
        most += [rows[-2].sum(), rows[-1].sum()]
    return Limits(np.stack(rows, axis=1), np.array(most))


def random_units(
    limits: Limits, sizes: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Units (U,) with about ``size`` utterances that keep the limits, as far as some trials find such.

    The nearest choice that was found is returned; whether it keeps the limits is for the caller to see. Of
    a single unit nothing is chosen, so that the other side is not empty.
    """
    if len(sizes) < 2:
        return np.zeros(len(sizes), dtype=bool)
    choices: list[tuple[float, NDArray[np.bool_]]] = []
    while len(choices) < START_TRIALS and not (choices and choices[-1][0] == 0):
        choices.append(_mended_units(limits, sizes, size, rng))
    return min(choices, key=lambda choice: choice[0])[1]


def _mended_units(
    limits: Limits, sizes: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[float, NDArray[np.bool_]]:
    """By how much the limits are missed, and a random choice of units (U,), mended by random swaps."""
    order = rng.permutation(len(sizes))
    number = int(np.argmin(np.abs(np.cumsum(sizes[order]) - size))) + 1
    number = min(max(number, 1), len(sizes) - 1)
    here, there = order[:number].copy(), order[number:].copy()
    sums = limits.rows[here].sum(axis=0)
    excess = _excess(sums, limits)
    for place, partner in rng.random((REPAIR_TRIALS, 2)):
        if excess == 0:
            break
        i, j = int(place * len(here)), int(partner * len(there))
        changed = sums - limits.rows[here[i]] + limits.rows[there[j]]
        now = _excess(changed, limits)
        if now <= excess:
            here[i], there[j], sums, excess = there[j], here[i], changed, now
    shifted = np.zeros(len(sizes), dtype=bool)
    shifted[here] = True
    return excess, shifted


def _excess(sums: NDArray[np.float64], limits: Limits) -> float:
    return float(np.maximum(sums - limits.most - 1e-6, 0.0).sum())


def length_strata(table: WordTable, num_strata: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Stratum (N,) of every utterance: equal parts by number of frequent words, ties at random."""
    num_rows = len(table.present)
    rank = np.empty(num_rows, dtype=np.int64)
    rank[np.lexsort((rng.permutation(num_rows), table.present.lengths))] = np.arange(num_rows)
    return rank * num_strata // num_rows


def stratified_sample(keys: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random choice (N,) of ``size`` rows that gives every key (N,) its share to within one row.

    Rows are put in the order of their keys, at random within a key, and taken at even distances; so a run of
    keys has its share to within one row as well.
    """
    order = np.lexsort((rng.permutation(len(keys)), keys))
    places = np.floor((np.arange(size) + rng.random()) * (len(keys) / size)).astype(np.int64)
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[order[np.minimum(places, len(keys) - 1)]] = True
    return chosen
