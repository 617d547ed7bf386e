"""The loop that compares sets of words, compiled. Import on demand (``mer_data.compiled``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.compiled import compiled


@compiled
def has_overlap(
    values: NDArray[np.int32],
    offsets: NDArray[np.int64],
    num_rarest: NDArray[np.int64],
    among: NDArray[np.int64],
    others: NDArray[np.int64],
    owners: NDArray[np.int64],
    filed: NDArray[np.int64],
    threshold: float,
) -> NDArray[np.bool_]:
    """Whether each of some sets overlaps with one of the others by a share of their union.

    Args:
        values: the words of all sets, rising within a set, one set after the other.
        offsets: (N + 1,) where each set begins.
        num_rarest: (N,) how many of its first words a set is filed under.
        among: sets to look at.
        others: sets to compare them with.
        owners: place in ``others`` of each entry of the file.
        filed: (V + 1,) where the entries of each word begin.
        threshold: |A and B| / |A or B| that is enough.

    Returns:
        (len(among),).
    """
    found = np.zeros(len(among), dtype=np.bool_)
    last_seen = np.full(len(others), -1, dtype=np.int64)  # a pair that shares two rare words is compared once
    for i in range(len(among)):
        start, stop = offsets[among[i]], offsets[among[i] + 1]
        for rare in range(start, start + num_rarest[among[i]]):
            for entry in range(filed[values[rare]], filed[values[rare] + 1]):
                if last_seen[owners[entry]] == i:
                    continue
                last_seen[owners[entry]] = i
                other = others[owners[entry]]
                a, b, end = start, offsets[other], offsets[other + 1]
                size, other_size = stop - a, end - b
                # Even if the smaller set were inside the larger one, their sizes would be too far apart.
                if min(size, other_size) < threshold * max(size, other_size):
                    continue
                shared = 0  # both sets rise, so one walk along the two finds what they share
                while a < stop and b < end:
                    if values[a] == values[b]:
                        shared, a, b = shared + 1, a + 1, b + 1
                    elif values[a] < values[b]:
                        a += 1
                    else:
                        b += 1
                if shared >= threshold * (size + other_size - shared):
                    found[i] = True
                    break
            if found[i]:
                break
    return found
