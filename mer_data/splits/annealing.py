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
def change_at(cells: Cells, cell: int, amount: int) -> int:
    """How the divergence changes where one cell's count rises by an amount."""
    place = cells.places[cell]
    return cells.values[place + amount] - cells.values[place]


@compiled
def swap_change(cells: Cells, leaves: int, enters: int) -> int:
    """How the divergence changes where one unit leaves the shifted side and another enters it.

    Most swaps are refused, so nothing is written. The cells of a unit rise: one pass finds the shared ones.
    """
    change = 0
    i, stop_i = cells.offsets[leaves], cells.offsets[leaves + 1]
    j, stop_j = cells.offsets[enters], cells.offsets[enters + 1]
    while i < stop_i and j < stop_j:
        out, into = cells.numbers[i], cells.numbers[j]
        if out == into:
            if cells.amounts[i] != cells.amounts[j]:  # an equal count of a shared cell changes nothing
                change += change_at(cells, out, cells.amounts[j] - cells.amounts[i])
            i, j = i + 1, j + 1
        elif out < into:
            change += change_at(cells, out, -cells.amounts[i])
            i += 1
        else:
            change += change_at(cells, into, cells.amounts[j])
            j += 1
    for rest in range(i, stop_i):
        change += change_at(cells, cells.numbers[rest], -cells.amounts[rest])
    for rest in range(j, stop_j):
        change += change_at(cells, cells.numbers[rest], cells.amounts[rest])
    return change


@compiled
def count_unit(cells: Cells, unit: int, sign: int) -> None:
    """Count a unit into the shifted side (sign 1) or out of it (-1)."""
    for e in range(cells.offsets[unit], cells.offsets[unit + 1]):
        cells.places[cells.numbers[e]] += sign * cells.amounts[e]


@compiled
def swap_changes(cells: Cells, leaves: NDArray[np.int32], enters: NDArray[np.int32]) -> NDArray[np.int64]:
    """The change (P,) of each of some swaps; none of them is made."""
    changes = np.empty(len(leaves), dtype=np.int64)
    for step in range(len(leaves)):
        changes[step] = swap_change(cells, leaves[step], enters[step])
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
    sizes: NDArray[np.int64],
    surplus: int,
    penalty: int,
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
        sizes: (U,) utterances of each unit.
        surplus: utterances that the shifted side has beyond those it should have.
        penalty: what an utterance too many or too few takes from the divergence.
        swaps: (P, 2) takes the units that left and entered, for each accepted swap.
        changes: (P,) takes the change of each accepted swap.

    Returns:
        How many swaps were accepted.
    """
    accepted = 0
    for step in range(len(chosen)):
        # Earlier swaps of this call may have put other units into these places: read them only now.
        leaves, enters = here[chosen[step]], there[partners[step]]
        allowed = True
        for k in range(len(limit_most)):
            if limit_sums[k] - limit_rows[leaves, k] + limit_rows[enters, k] > limit_most[k] + ROUNDING:
                allowed = False
                break
        if not allowed:
            continue
        # The limits were checked first: they cost K additions, the change a walk through two units' cells.
        change = swap_change(cells, leaves, enters)
        surplus_after = surplus + sizes[enters] - sizes[leaves]
        if change - penalty * (abs(surplus_after) - abs(surplus)) < lowest[step]:
            continue
        count_unit(cells, leaves, -1)
        count_unit(cells, enters, 1)
        for k in range(len(limit_most)):
            limit_sums[k] = limit_sums[k] - limit_rows[leaves, k] + limit_rows[enters, k]
        surplus = surplus_after
        here[chosen[step]], there[partners[step]] = enters, leaves
        swaps[accepted, 0], swaps[accepted, 1] = leaves, enters
        changes[accepted] = change
        accepted += 1
    return accepted
