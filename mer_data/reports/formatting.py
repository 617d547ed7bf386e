"""Numbers of a report as text; what is not known is a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ShiftMeasure:
    """A measure of a split, of the standard folds and of random splits of the same sizes; None: unknown."""

    value: float | None
    standard: float | None
    random_mean: float | None
    random_std: float | None

    @classmethod
    def from_recorded(cls, recorded: Any, own: str = "this_split") -> ShiftMeasure:
        """Read what a manifest records under one of its measures; ``own`` is the key of the split's value."""
        return cls(*(measure(recorded, key) for key in (own, "standard_folds", "random_mean", "random_std")))

    @property
    def times_random(self) -> float | None:
        """The value as a multiple of that of random splits."""
        return self.value / self.random_mean if self.value is not None and self.random_mean else None

    @property
    def minus_random(self) -> float | None:
        """The value's distance from that of random splits."""
        return None if self.value is None or self.random_mean is None else self.value - self.random_mean


def count_of(count: int, noun: str) -> str:
    """A number with its noun: "1 video", "2,199 utterances"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def count_and_share(count: int, total: int) -> str:
    """A number with its share of a total, where there is one: "12 (48.0 %)"."""
    return f"{count:,} ({percent(count / total)} %)" if total else number(count, 0)


def cleaning_rows(cleaning: Mapping[str, int]) -> tuple[list[dict[str, str]], list[str]]:
    """What a build met or changed, as rows with counts, and what it looked for and did not find."""
    names = {name: name.replace("_", " ") for name in cleaning}
    found = [{"What": names[name], "Count": number(n, 0)} for name, n in cleaning.items() if n]
    return found, [names[name] for name, n in cleaning.items() if not n]
