"""Inner loops as machine code (numba). Import on demand: numba costs about a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a function of numbers and arrays at its first call, without fast-math: as numpy computes it.

    The machine code is kept next to the module, or in the user's cache folder, for the next process. Where
    neither can be written, every process compiles for itself.
    """
    try:
        return cast(F, njit(function, cache=True))
    except RuntimeError:  # numba found no folder to keep it in
        return cast(F, njit(function))
