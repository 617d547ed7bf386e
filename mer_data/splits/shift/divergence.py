"""The divergence of the word-to-label relation between the two sides of a split.

The shifted side holds test (and validation, where that goes with test); the other side is the rest.
Shapes: N utterances of the pool, W frequent words, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.shift.words import WordTable

MIN_COUNT = 10
"""A word in fewer utterances says next to nothing about a label on a side that has a third of them."""
SMOOTHING = 1.0
"""One utterance of the class prior for every word and side: two sightings are not a certainty."""
RANDOM_SEEDS = (0, 1, 2, 3, 4)


def x_log2_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """x log2 x, and 0 at 0."""
    return x * np.log2(np.where(x > 0, x, 1.0))


def weighted_divergences(
    shifted_counts: NDArray[np.int64],
    counts: NDArray[np.int64],
    prior: NDArray[np.float64],
    smoothing: float,
) -> NDArray[np.float64]:
    """n_w * JSD_w in bits for words w: how far their label relation differs between the sides.

    With n_swc the utterances of class c on side s that contain w, each side is given ``smoothing``
    utterances of the prior: n_swc + smoothing * prior_c. JSD_w is the Jensen-Shannon divergence of the two
    label distributions with the sizes n_sw as mixing weights: the mutual information between side and
    label, given the word. The weights matter for a search: with equal ones a word seen once on one side
    (a corner of the simplex) counts as much as one seen a hundred times on both, and the search would
    increase the divergence by concentrating words on one side. As counts enter by x log2 x alone, a search
    can look every change up.

    Args:
        shifted_counts: utterances of the shifted side that contain each word, by class (W, C).
        counts: the same for both sides together (W, C).
        prior: class shares of the pool (C,).
        smoothing: pseudo-utterances of the prior that each side is given, at least 0.

    Returns:
        (W,) bits times utterances, never negative.
    """
    sides = np.stack([shifted_counts, counts - shifted_counts]) + smoothing * prior
    both = sides.sum(axis=0)
    by_class = x_log2_x(sides).sum(axis=(0, 2)) - x_log2_x(sides.sum(axis=2)).sum(axis=0)
    mixed = x_log2_x(both).sum(axis=1) - x_log2_x(both.sum(axis=1))
    return np.maximum(by_class - mixed, 0.0)


def word_weights(table: WordTable, smoothing: float) -> NDArray[np.float64]:
    """n_w (W,): utterances with each word, with what the smoothing adds to the two sides."""
    return table.counts.sum(axis=1) + 2.0 * smoothing


def split_divergence(table: WordTable, shifted: NDArray[np.bool_], smoothing: float) -> float:
    """Divergence of a split in bits: the weighted mean of JSD_w, sum n_w JSD_w / sum n_w.

    NaN where no word is frequent enough. A random split is above zero too, as its sides are finite:
    compare with ``random_divergence``.
    """
    if not table.words:
        return float("nan")
    weighted = weighted_divergences(table.counts_in(shifted), table.counts, table.prior, smoothing)
    return float(weighted.sum() / word_weights(table, smoothing).sum())


def random_divergence(
    table: WordTable, num_shifted: int, smoothing: float, unit_of: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Mean and sample deviation over five random sides of ``num_shifted`` utterances.

    Args:
        table: words and classes (N).
        num_shifted: utterances of the shifted side.
        smoothing: see ``weighted_divergences``.
        unit_of: what moves as a whole (N,), numbered from 0; sides are then of about that size.
    """
    values = [
        split_divergence(table, random_side(len(table.classes), num_shifted, seed, unit_of), smoothing)
        for seed in RANDOM_SEEDS
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1))


def random_side(
    num_rows: int, size: int, seed: int, unit_of: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """A random choice (num_rows,) of ``size`` rows, or of whole units with about as many.

    Args:
        num_rows: rows to choose from.
        size: rows to choose.
        seed: of the choice.
        unit_of: the unit of every row (num_rows,).
    """
    rng = np.random.default_rng(seed)
    if unit_of is None:
        chosen = np.zeros(num_rows, dtype=bool)
        chosen[rng.permutation(num_rows)[:size]] = True
        return chosen
    units, unit_of = np.unique(unit_of, return_inverse=True)
    order = rng.permutation(len(units))
    totals = np.cumsum(np.bincount(unit_of)[order])
    number = int(np.argmin(np.abs(totals - size))) + 1
    return np.isin(unit_of, order[:number])
