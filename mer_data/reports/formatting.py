"""Numbers of a report as text; what is not known is a dash."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

UNKNOWN = "–"


def measure(values: Any, *keys: str) -> float | None:
    """The number under nested keys; None where it is null, or was never recorded."""
    for key in keys:
        if not isinstance(values, dict):
            return None
        values = values.get(key)
    is_number = isinstance(values, int | float) and not isinstance(values, bool)
    return float(values) if is_number and math.isfinite(values) else None


def number(value: float | None, decimals: int = 4) -> str:
    """A number with so many decimals."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:,.{decimals}f}"


def percent(value: float | None, decimals: int = 1) -> str:
    """A share in percent, without the sign."""
    return number(None if value is None else 100 * value, decimals)


def spread(mean: float | None, deviation: float | None, decimals: int = 4) -> str:
    """A mean with its standard deviation, where there is one."""
    if mean is None or deviation is None or math.isnan(deviation):
        return number(mean, decimals)
    return f"{number(mean, decimals)} ± {number(deviation, decimals)}"


def percent_spread(mean: float | None, deviation: float | None) -> str:
    """A mean share with its standard deviation, in percent."""
    mean, deviation = (None if value is None else 100 * value for value in (mean, deviation))
    return spread(mean, deviation, 1)


def mean_and_deviation(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation of what is known; no deviation of a single value."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    if not known:
        return None, None
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None


def count_of(count: int, noun: str) -> str:
    """A number with its noun: "1 video", "2,199 utterances"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
