"""Simulated annealing for the side of a split whose word-to-label relation differs most from the other's.

Units move as a whole: single utterances, or videos. Letters: N utterances, U units, W frequent words, C
classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_data.progress import Progress
from mer_data.splits.shift.divergence import x_log2_x
from mer_data.splits.shift.words import WordTable
from mer_data.utterances import Ragged, offsets_of

NUM_PROBES = 200
FINAL_TEMPERATURE = 0.01
"""Last temperature as a part of the first, which is the mean change of a random swap."""
SIZE_PENALTY = 0.3
"""Cost of an utterance too many or too few, as a part of the first temperature: little at first, and at
the end thirty times the temperature, so that units of different sizes come back to the size asked for."""
SCALE = 2.0**32
"""Bits are kept as whole multiples of 2**-32: their sums do not depend on the order of adding."""


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
        self.starts = offsets_of(most + 1)[:-1]
        # A cell with at most n counts has n + 1 entries, of the counts 0 to n.
        owner = np.repeat(np.arange(len(most)), most + 1)
        count = np.arange(len(owner)) - self.starts[owner]
        bits = x_log2_x(count + added[owner]) + x_log2_x(most[owner] - count + added[owner])
        self.values = np.rint(sign[owner] * bits * SCALE).astype(np.int64)

        utterance = table.present.owners
        words = table.present.values
        # One number for a unit and a cell; sorted, equal ones are neighbours and are counted.
        keys = np.concatenate([words * num_classes + table.classes[utterance], table.counts.size + words])
        keys += np.tile(unit_of[utterance], 2) * len(most)
        keys.sort()
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        amounts = np.diff(firsts, append=len(keys)).astype(np.int32)
        keys = keys[firsts]
        offsets = np.searchsorted(keys, np.arange(num_units + 1) * len(most)).astype(np.int64)
        self.cells = Ragged((keys % len(most)).astype(np.int32), offsets)
        self.amounts = Ragged(amounts, offsets)


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
        sizes: NDArray[np.int64] | None = None,
    ) -> None:
        """Begin at a state.

        Args:
            divergence: what grows.
            start: units on the shifted side (U,).
            kinds: units are swapped with their own kind alone (U,).
            limits: what the shifted side has to keep, in addition to its number of units of each kind.
            rng: source of the proposals.
            sizes: utterances of every unit (U,); the search prefers states with as many of them as the
                start has. None: units are of one size.
        """
        self._sizes = np.ones(len(start), dtype=np.int64) if sizes is None else sizes
        self._rng, self._start = rng, start
        self._limits = limits or Limits(np.zeros((len(start), 0)), np.zeros(0))
        self._here = np.flatnonzero(start).astype(np.int32)
        there = np.flatnonzero(~start).astype(np.int32)
        # Sorted by kind, the partners of a unit are one run, and drawing one is a multiplication.
        self._there = there[np.argsort(kinds[there], kind="stable")]
        first, last = (
            np.searchsorted(kinds[self._there], kinds[self._here], side=side) for side in ("left", "right")
        )
        self._first_partner, self._num_partners = first, last - first
        self._movable = np.flatnonzero(self._num_partners > 0)
        self._sums = self._limits.rows[start].sum(axis=0)
        counts = np.zeros(len(divergence.starts), dtype=np.int64)
        shifted = np.repeat(start, divergence.cells.lengths)
        np.add.at(counts, divergence.cells.values[shifted], divergence.amounts.values[shifted])
        places = divergence.starts + counts
        cells, amounts = divergence.cells, divergence.amounts
        self._cells = places, divergence.values, cells.values, amounts.values, cells.offsets
        self._swaps = np.zeros((0, 2), dtype=np.int32)
        self._totals = np.array([divergence.values[places].sum()], dtype=np.int64)

    @property
    def can_move(self) -> bool:
        """Whether any swap exists."""
        return len(self._movable) > 0

    @property
    def totals(self) -> NDArray[np.int64]:
        """Divergence (in multiples of 2**-32 bits, up to a constant) at the start and after every swap."""
        return self._totals

    def run(self, steps: int, progress: Progress | None = None) -> None:
        """Propose ``steps`` swaps, each accepted by the Metropolis rule under geometric cooling."""
        if not self.can_move or not steps:
            return
        # The order of the three stretches is part of a split's bytes: another order gives other splits.
        acceptance = self._stream(0)
        first = self._mean_change(self._stream(steps))
        penalty = int(SIZE_PENALTY * first)
        places, partners = (self._stream(steps + 2 * NUM_PROBES + part * steps) for part in (0, 1))
        part = max(1, steps // 100)
        swaps, changes = [self._swaps], [self._totals[-1:]]
        for done in range(0, steps, part):
            if progress is not None:
                progress(done, steps)
            number = min(part, steps - done)
            temperatures = first * FINAL_TEMPERATURE ** (np.arange(done, done + number) / max(steps - 1, 1))
            # Metropolis: accept with probability exp(change / T), that is, where change >= T log(u). The swap
            # loop then needs one comparison per proposal, and no exponential.
            lowest = np.log1p(-acceptance.random(number)) * temperatures
            chosen = self._propose(places.random(number), partners.random(number))
            # A change is a whole number: comparing it with the next one above is the same, and exact.
            accepted = self._try(*chosen, np.ceil(lowest).astype(np.int64), penalty)
            swaps.append(accepted[0])
            changes.append(accepted[1])
        self._swaps = np.concatenate(swaps)
        self._totals = np.concatenate([self._totals[:-1], np.cumsum(np.concatenate(changes))])
        # The streams were copies: move the generator past all that they used.
        self._rng.bit_generator.advance(3 * steps + 2 * NUM_PROBES)  # type: ignore[attr-defined]
        if progress is not None:
            progress(steps, steps)

    def keeps_size(self) -> NDArray[np.bool_]:
        """Whether the shifted side has as many utterances as at the start, there and after every swap."""
        leaves, enters = self._sizes[self._swaps].T
        return offsets_of(enters - leaves) == 0

    def state(self, swaps: int) -> NDArray[np.bool_]:
        """Units on the shifted side (U,) after the first ``swaps`` accepted ones."""
        times_moved = np.bincount(self._swaps[:swaps].ravel(), minlength=len(self._start))
        return self._start ^ (times_moved % 2 == 1)

    def _stream(self, offset: int) -> np.random.Generator:
        """The random numbers from the ``offset``-th next one on.

        Acceptance and the two sides of all proposals have a stretch of the sequence each, so that they can
        be drawn part by part: a million utterances have 40 million proposals.
        """
        ahead = np.random.PCG64()
        ahead.state = self._rng.bit_generator.state  # type: ignore[assignment]
        return np.random.Generator(ahead.advance(offset))

    def _propose(
        self, place: NDArray[np.float64], partner: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places on the two sides, of one kind each, from random numbers in [0, 1)."""
        here = self._movable[(place * len(self._movable)).astype(np.int64)]
        there = self._first_partner[here] + (partner * self._num_partners[here]).astype(np.int64)
        return here, there

    def _try(
        self, here: NDArray[np.int64], there: NDArray[np.int64], lowest: NDArray[np.int64], penalty: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Swap where the limits allow it and the change is high enough: the accepted swaps and changes."""
        from mer_data.splits.annealing import Cells, try_swaps

        swaps = np.empty((len(here), 2), dtype=np.int32)
        changes = np.empty(len(here), dtype=np.int64)
        limits = self._limits
        accepted = try_swaps(
            Cells(*self._cells),
            self._here,
            self._there,
            here,
            there,
            lowest,
            limits.rows,
            limits.most,
            self._sums,
            self._sizes,
            int(self._sizes[self._here].sum() - self._sizes[self._start].sum()),
            penalty,
            swaps,
            changes,
        )
        return swaps[:accepted].copy(), changes[:accepted].copy()

    def _mean_change(self, rng: np.random.Generator) -> float:
        """Mean absolute change of some random swaps, of which none is kept: the first temperature."""
        from mer_data.splits.annealing import Cells, swap_changes

        here, there = self._propose(*rng.random((2, NUM_PROBES)))
        return float(np.abs(swap_changes(Cells(*self._cells), self._here[here], self._there[there])).mean())
