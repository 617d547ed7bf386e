"""Simulated annealing for a test fold with a large word-to-label divergence.

Shapes: N utterances of the pool, W frequent words, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.shift import WordTable, weighted_divergences

MOST_STRATA = 10
NUM_PROBES = 200
FINAL_TEMPERATURE = 0.01
"""Last temperature as a part of the first, which is the mean change of a random swap."""

Progress = Callable[[int, int], None]


@dataclass
class SwapState:
    """The test side of a split, with its divergence kept up to date under swaps.

    Attributes:
        table: the words of the pool.
        smoothing: see ``weighted_divergences``.
        test_counts: test utterances with each word, by class (W, C).
        divergences: n_w * JSD_w of every word (W,), bits.
    """

    table: WordTable
    smoothing: float
    test_counts: NDArray[np.int64]
    divergences: NDArray[np.float64]

    @classmethod
    def of(cls, table: WordTable, in_test: NDArray[np.bool_], smoothing: float) -> SwapState:
        """The state of a test side ``in_test`` (N,), counted from nothing."""
        counts = table.counts_in(in_test)
        return cls(
            table, smoothing, counts, weighted_divergences(counts, table.counts, table.prior, smoothing)
        )

    @property
    def total(self) -> float:
        """Sum of n_w * JSD_w in bits, summed anew so that no rounding error grows."""
        return float(self.divergences.sum())

    def swap(self, leaves: int, enters: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Move utterance ``leaves`` out of test and ``enters`` in; only their words are touched.

        Returns:
            The words touched and their divergences before, for ``undo``.
        """
        self._move(leaves, enters)
        table = self.table
        touched = np.concatenate([table.present[leaves], table.present[enters]])
        before = self.divergences[touched]
        self.divergences[touched] = weighted_divergences(
            self.test_counts[touched], table.counts[touched], table.prior, self.smoothing
        )
        return touched, before

    def undo(self, leaves: int, enters: int, swapped: tuple[NDArray[np.int64], NDArray[np.float64]]) -> None:
        """Take back the last swap, to the last bit; ``swapped`` is what it returned."""
        self._move(enters, leaves)
        touched, before = swapped
        self.divergences[touched] = before

    def _move(self, leaves: int, enters: int) -> None:
        """Count one utterance out of test and another one in."""
        table = self.table
        self.test_counts[table.present[leaves], table.classes[leaves]] -= 1
        self.test_counts[table.present[enters], table.classes[enters]] += 1


class FoldSearch:
    """Annealing over test folds that keep the sentence lengths and, within a slack, the classes of the pool.

    The pool is cut into strata of equal size by the number of frequent words. A swap stays within its
    stratum, and within each stratum every class stays near its expected count. Were only the class shares
    of the whole fold kept, the search would find a fold whose long sentences are negative and whose short
    ones are positive: that shifts all words at once, and says nothing about any of them.
    """

    def __init__(
        self, table: WordTable, num_test: int, *, smoothing: float, slack: float, rng: np.random.Generator
    ) -> None:
        """Start from a random fold, stratified by length and class.

        Args:
            table: the words of the pool.
            num_test: utterances of the fold.
            smoothing: see ``weighted_divergences``.
            slack: utterances by which a class may miss its expected count in the fold, at least 1. It is
                shared out over the strata, of which there are so few that each is given one or more.
            rng: source of the start and of the proposals.
        """
        num_rows, num_classes = len(table.present), len(table.prior)
        num_strata = max(1, min(MOST_STRATA, math.floor(slack), (num_rows - num_test) // 3))
        strata = _length_strata(table, num_strata, rng)
        self._cells = strata * num_classes + table.classes
        in_test = stratified_sample(self._cells, num_test, rng)
        in_cells = np.bincount(self._cells, minlength=num_strata * num_classes)
        test_in_cells = np.bincount(self._cells[in_test], minlength=num_strata * num_classes)
        self._excess = test_in_cells - in_cells * (num_test / num_rows)
        self._slack = slack / num_strata
        self._rng = rng
        self.state = SwapState.of(table, in_test, smoothing)

        rest = np.flatnonzero(~in_test)
        self._test = np.flatnonzero(in_test)
        self._rest = rest[np.argsort(strata[rest], kind="stable")]
        partners = [
            np.searchsorted(strata[self._rest], strata[self._test], side=side) for side in ("left", "right")
        ]
        self._first_partner, self._num_partners = partners[0], partners[1] - partners[0]

    @property
    def in_test(self) -> NDArray[np.bool_]:
        """The test side as it is now (N,)."""
        chosen = np.zeros(len(self._cells), dtype=bool)
        chosen[self._test] = True
        return chosen

    def run(self, steps: int, *, excess_bits: float | None = None, progress: Progress | None = None) -> None:
        """Propose ``steps`` swaps, each accepted by the Metropolis rule under geometric cooling.

        Args:
            steps: proposals.
            excess_bits: stop as soon as the divergence is this far above the one of the start.
            progress: called with the proposals done and all proposals, about a hundred times.
        """
        lowest_changes = np.log1p(-self._rng.random(steps)) * self._temperatures(steps)
        places, partners = self._rng.random((2, steps))
        report_every = max(1, steps // 100)
        total = self.state.total
        occurrences = float(self.state.table.counts.sum())
        enough = math.inf if excess_bits is None else total + excess_bits * occurrences
        for step in range(steps):
            if progress is not None and step % report_every == 0:
                progress(step, steps)
            if total >= enough:
                break
            total = self._try(*self._pick(places[step], partners[step]), total, lowest_changes[step])
        if progress is not None:
            progress(steps, steps)

    def _pick(self, place: float, partner: float) -> tuple[int, int]:
        """Places in test and rest, both of one stratum, for two uniform numbers in [0, 1)."""
        here = int(place * len(self._test))
        return here, int(self._first_partner[here] + partner * self._num_partners[here])

    def _try(self, here: int, there: int, total: float, lowest_change: float) -> float:
        """Swap two places if the classes allow it and the change is high enough; the total after it."""
        leaves, enters = self._test[here], self._rest[there]
        gone, come = self._cells[leaves], self._cells[enters]
        if gone != come and (self._excess[gone] - 1 < -self._slack or self._excess[come] + 1 > self._slack):
            return total
        swapped = self.state.swap(leaves, enters)
        changed = self.state.total
        if changed - total < lowest_change:
            self.state.undo(leaves, enters, swapped)
            return total
        self._test[here], self._rest[there] = enters, leaves
        self._excess[gone] -= 1
        self._excess[come] += 1
        return changed

    def _temperatures(self, steps: int) -> NDArray[np.float64]:
        """Cooling (steps,) from the mean absolute change of random swaps to a small part of it, in bits."""
        before, changes = self.state.total, []
        for place, partner in self._rng.random((NUM_PROBES, 2)):
            here, there = self._pick(place, partner)
            leaves, enters = self._test[here], self._rest[there]
            swapped = self.state.swap(leaves, enters)
            changes.append(abs(self.state.total - before))
            self.state.undo(leaves, enters, swapped)
        return np.mean(changes) * FINAL_TEMPERATURE ** np.linspace(0.0, 1.0, steps)


def _length_strata(table: WordTable, num_strata: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Stratum (N,) of every utterance: equal parts by number of frequent words, ties at random."""
    num_rows = len(table.present)
    rank = np.empty(num_rows, dtype=np.int64)
    rank[np.lexsort((rng.permutation(num_rows), table.present.lengths))] = np.arange(num_rows)
    return rank * num_strata // num_rows


def stratified_sample(keys: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random choice (N,) of ``size`` rows that gives every key (N,) its share to within one row.

    Rows are put in the order of their keys, at random within a key, and taken at even distances.
    """
    order = np.lexsort((rng.permutation(len(keys)), keys))
    places = np.floor((np.arange(size) + rng.random()) * (len(keys) / size)).astype(np.int64)
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[order[np.minimum(places, len(keys) - 1)]] = True
    return chosen
