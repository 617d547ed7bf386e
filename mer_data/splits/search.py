"""Simulated annealing for the side of a split whose word-to-label relation differs most from the other's.

Units move as a whole: single utterances, or videos. Letters: N utterances, U units, W frequent words, C
classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.splits.divergence import x_log2_x
from mer_data.splits.words import WordTable
from mer_data.utterances import Ragged

NUM_PROBES = 200
FINAL_TEMPERATURE = 0.01
"""Last temperature as a part of the first, which is the mean change of a random swap."""
SCALE = 2.0**32
"""Bits are kept as whole multiples of 2**-32: their sums do not depend on the order of adding."""

Progress = Callable[[int, int], None]


class DivergenceTable:
    """The divergence as a sum over cells, each looked up by its count on the shifted side.

    sum_w n_w JSD_w is a constant plus x log2 x of the smoothed counts (word, class) on both sides, minus that
    of the word's totals. So it has W * C cells for the former and W for the latter, and a swap
    changes those of the words in the two units alone.

    Attributes:
        values: what each cell adds at each count from 0 to its most, one after the other, int64.
        starts: where each cell's counts begin in ``values`` (W * C + W,).
        cells: the cells of every unit, ``Ragged`` (U).
        amounts: by how much the unit raises each of its cells, in the layout of ``cells``.
    """

    def __init__(
        self, table: WordTable, unit_of: NDArray[np.int64], num_units: int, smoothing: float
    ) -> None:
        """Tabulate for units of utterances (N,)."""
        num_words, num_classes = table.counts.shape
        most = np.concatenate([table.counts.ravel(), table.counts.sum(axis=1)])
        added = smoothing * np.concatenate([np.tile(table.prior, num_words), np.ones(num_words)])
        sign = np.where(np.arange(len(most)) < table.counts.size, 1.0, -1.0)
        self.starts = np.concatenate([[0], np.cumsum(most + 1)[:-1]]).astype(np.int64)
        owner = np.repeat(np.arange(len(most)), most + 1)
        count = np.arange(len(owner)) - self.starts[owner]
        bits = x_log2_x(count + added[owner]) + x_log2_x(most[owner] - count + added[owner])
        self.values = np.rint(sign[owner] * bits * SCALE).astype(np.int64)

        utterance = np.repeat(np.arange(len(table.present)), table.present.lengths)
        words = table.present.values
        cells = np.concatenate([words * num_classes + table.classes[utterance], table.counts.size + words])
        keys, amounts = np.unique(np.tile(unit_of[utterance], 2) * len(most) + cells, return_counts=True)
        offsets = np.searchsorted(keys, np.arange(num_units + 1) * len(most))
        self.cells = Ragged(keys % len(most), offsets.astype(np.int64))
        self.amounts = Ragged(amounts.astype(np.int64), self.cells.offsets)


@dataclass(frozen=True)
class Limits:
    """Linear limits on the shifted side: the sum of ``rows`` over its units may not exceed ``most``.

    Attributes:
        rows: (U, K) what each unit adds to each of K sums.
        most: (K,).
    """

    rows: NDArray[np.float64]
    most: NDArray[np.float64]

    def allow(self, sums: NDArray[np.float64]) -> bool:
        """Whether sums (K,) keep all limits, up to rounding."""
        return bool((sums <= self.most + 1e-6).all())

    def together_with(self, other: Limits) -> Limits:
        """The limits of both."""
        return Limits(np.hstack([self.rows, other.rows]), np.concatenate([self.most, other.most]))


class SwapSearch:
    """Annealing by swaps of one unit on the shifted side with one of its own kind on the other.

    Every accepted swap is remembered: a weaker shift is a state the search came through, so that a series of
    severities costs one search, and rises strictly.
    """

    def __init__(
        self,
        divergence: DivergenceTable,
        start: NDArray[np.bool_],
        *,
        kinds: NDArray[np.int64],
        limits: Limits | None,
        rng: np.random.Generator,
    ) -> None:
        """Begin at a state.

        Args:
            divergence: what grows.
            start: units on the shifted side (U,).
            kinds: units are swapped with their own kind alone (U,).
            limits: what the shifted side has to keep beside its number of units of each kind.
            rng: source of the proposals.
        """
        self._table, self._limits, self._rng = divergence, limits, rng
        self._start = start
        self._here = np.flatnonzero(start)
        there = np.flatnonzero(~start)
        self._there = there[np.argsort(kinds[there], kind="stable")]
        first, last = (
            np.searchsorted(kinds[self._there], kinds[self._here], side=side) for side in ("left", "right")
        )
        self._first_partner, self._num_partners = first, last - first
        self._movable = np.flatnonzero(self._num_partners > 0)
        self._sums = np.zeros(0) if limits is None else limits.rows[start].sum(axis=0)
        counts = np.zeros(len(divergence.starts), dtype=np.int64)
        shifted = np.repeat(start, divergence.cells.lengths)
        np.add.at(counts, divergence.cells.values[shifted], divergence.amounts.values[shifted])
        self._places = divergence.starts + counts
        # Rows as arrays of their own: a search takes millions of them.
        self._cells = [divergence.cells[unit] for unit in range(len(start))]
        self._amounts = [divergence.amounts[unit] for unit in range(len(start))]
        self._swaps: list[tuple[int, int]] = []
        self._totals = [int(divergence.values[self._places].sum())]

    @property
    def can_move(self) -> bool:
        """Whether any swap exists."""
        return len(self._movable) > 0

    @property
    def totals(self) -> NDArray[np.int64]:
        """Divergence (in multiples of 2**-32 bits, up to a constant) at the start and after every swap."""
        return np.array(self._totals, dtype=np.int64)

    def run(self, steps: int, progress: Progress | None = None) -> None:
        """Propose ``steps`` swaps, each accepted by the Metropolis rule under geometric cooling."""
        if not self.can_move:
            return
        lowest = (np.log1p(-self._rng.random(steps)) * self._temperatures(steps)).tolist()
        chosen = self._proposals(steps)
        report_every = max(1, steps // 100)
        for step, (place, partner) in enumerate(chosen):
            if progress is not None and step % report_every == 0:
                progress(step, steps)
            self._try(place, partner, lowest[step])
        if progress is not None:
            progress(steps, steps)

    def state(self, swaps: int) -> NDArray[np.bool_]:
        """Units on the shifted side (U,) after the first ``swaps`` accepted ones."""
        shifted = self._start.copy()
        for leaves, enters in self._swaps[:swaps]:
            shifted[leaves], shifted[enters] = False, True
        return shifted

    def _proposals(self, number: int) -> list[tuple[int, int]]:
        """Places on the two sides, of one kind each."""
        place, partner = self._rng.random((2, number))
        here = self._movable[(place * len(self._movable)).astype(np.int64)]
        there = self._first_partner[here] + (partner * self._num_partners[here]).astype(np.int64)
        return list(zip(here.tolist(), there.tolist(), strict=True))

    def _try(self, place: int, partner: int, lowest: float) -> None:
        """Swap two units if the limits allow it and the change is high enough."""
        leaves, enters = int(self._here[place]), int(self._there[partner])
        sums = self._sums
        if self._limits is not None:
            sums = sums - self._limits.rows[leaves] + self._limits.rows[enters]
            if not self._limits.allow(sums):
                return
        change, undo = self._swap(leaves, enters)
        if change < lowest:
            undo()
            return
        self._sums = sums
        self._here[place], self._there[partner] = enters, leaves
        self._swaps.append((leaves, enters))
        self._totals.append(self._totals[-1] + change)

    def _swap(self, leaves: int, enters: int) -> tuple[int, Callable[[], None]]:
        """Count one unit out and another one in; the change of the divergence, and how to take it back."""
        places, values = self._places, self._table.values
        out, into = self._cells[leaves], self._cells[enters]
        before_out = places[out]
        after_out = before_out - self._amounts[leaves]
        places[out] = after_out
        before_into = places[into]
        after_into = before_into + self._amounts[enters]
        places[into] = after_into
        change = values[after_out].sum() - values[before_out].sum()
        change += values[after_into].sum() - values[before_into].sum()

        def undo() -> None:
            places[into] = before_into
            places[out] = before_out

        return int(change), undo

    def _temperatures(self, steps: int) -> NDArray[np.float64]:
        """Cooling (steps,) from the mean absolute change of random swaps to a small part of it."""
        changes = []
        for place, partner in self._proposals(NUM_PROBES):
            change, undo = self._swap(int(self._here[place]), int(self._there[partner]))
            changes.append(abs(change))
            undo()
        return float(np.mean(changes)) * FINAL_TEMPERATURE ** np.linspace(0.0, 1.0, steps)
