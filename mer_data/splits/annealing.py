"""The loop of the split search that sees every proposal, compiled. Import on demand (``mer_data.compiled``).

Letters: U units, E cells of all units one after the other, K limits, P proposals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mer_data.compiled import compiled

ROUNDING = 1e-6
"""By how much a sum of floats may exceed its limit."""


class Cells(NamedTuple):
    """The divergence as a sum over cells (see ``mer_data.splits.search.DivergenceTable``).

    Attributes:
        places: where each cell's present count is in ``values``.
        values: what each cell adds at each of its counts.
        numbers: (E,) the cells of the units.
        amounts: (E,) by how much the unit raises the cell.
        offsets: (U + 1,) where the cells of each unit begin.
    """

    places: NDArray[np.int64]
    values: NDArray[np.int64]
    numbers: NDArray[np.int32]
    amounts: NDArray[np.int32]
    offsets: NDArray[np.int64]


@compiled
def move(cells: Cells, unit: int, sign: int) -> int:
    """Count a unit into the shifted side (sign 1) or out of it (-1); the change of the divergence."""
    change = 0
    for e in range(cells.offsets[unit], cells.offsets[unit + 1]):
        before = cells.places[cells.numbers[e]]
        after = before + sign * cells.amounts[e]
        cells.places[cells.numbers[e]] = after
        change += cells.values[after] - cells.values[before]
    return change


@compiled
def swap_changes(cells: Cells, leaves: NDArray[np.int32], enters: NDArray[np.int32]) -> NDArray[np.int64]:
    """The change (P,) of each of some swaps; none of them is kept."""
    changes = np.empty(len(leaves), dtype=np.int64)
    for step in range(len(leaves)):
        changes[step] = move(cells, leaves[step], -1) + move(cells, enters[step], 1)
        move(cells, enters[step], -1)
        move(cells, leaves[step], 1)
    return changes


@compiled
def try_swaps(
    cells: Cells,
    here: NDArray[np.int32],
    there: NDArray[np.int32],
    chosen: NDArray[np.int64],
    partners: NDArray[np.int64],
    lowest: NDArray[np.int64],
    limit_rows: NDArray[np.float64],
    limit_most: NDArray[np.float64],
    limit_sums: NDArray[np.float64],
    swaps: NDArray[np.int32],
    changes: NDArray[np.int64],
) -> int:
    """Try swaps one after the other; keep each that the limits allow and that changes enough.

    Args:
        cells: the divergence; its places are changed.
        here: units on the shifted side; changed.
        there: units on the other side; changed.
        chosen: (P,) places in ``here``.
        partners: (P,) places in ``there``.
        lowest: (P,) the smallest change that is accepted at each proposal.
        limit_rows: (U, K) what each unit adds to the limited sums.
        limit_most: (K,) what they may not exceed.
        limit_sums: (K,) the sums of the shifted side; changed.
        swaps: (P, 2) takes the units that left and entered, for each accepted swap.
        changes: (P,) takes the change of each accepted swap.

    Returns:
        How many swaps were accepted.
    """
    accepted = 0
    for step in range(len(chosen)):
        leaves, enters = here[chosen[step]], there[partners[step]]
        allowed = True
        for k in range(len(limit_most)):
            if limit_sums[k] - limit_rows[leaves, k] + limit_rows[enters, k] > limit_most[k] + ROUNDING:
                allowed = False
                break
        if not allowed:
            continue
        # Counted at once, as the two units may share cells, and taken back where too little is gained.
        change = move(cells, leaves, -1) + move(cells, enters, 1)
        if change < lowest[step]:
            move(cells, enters, -1)
            move(cells, leaves, 1)
            continue
        for k in range(len(limit_most)):
            limit_sums[k] = limit_sums[k] - limit_rows[leaves, k] + limit_rows[enters, k]
        here[chosen[step]], there[partners[step]] = enters, leaves
        swaps[accepted, 0], swaps[accepted, 1] = leaves, enters
        changes[accepted] = change
        accepted += 1
    return accepted
