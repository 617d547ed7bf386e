"""Scores as tables for a person: percent with one decimal, a dash where there is no number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cider.scoring.conditions import AUILC, MEAN_OF_CASES, SweepPlan
from cider.scoring.intervals import Interval, SweepIntervals
from cider.scoring.metrics import mean_and_std
from cider.scoring.protocols import MetricTable, SweepScores
from mer_data.errors import RunError

METRIC_TITLES = {
    "acc2": "Acc2",
    "f1": "F1",
    "acc2_has0": "Acc2 (has zero)",
    "f1_has0": "F1 (has zero)",
    "acc3": "Acc3",
    "f1_3": "F1 of 3 classes",
    "acc7": "Acc7",
    "f1_7": "F1 of 7 classes",
}
HEADLINE = ("acc2", "f1", "acc3", "acc7", "f1_7")
_DASH = "-"


def headline(scores: SweepScores) -> list[str]:
    """The metrics that are shown first."""
    return [name for name in HEADLINE if name in scores.strict.values]


def axis_title(plan: SweepPlan) -> str:
    """What the points of a sweep are."""
    return "Missing rate" if plan.rates else "Kept modalities"


def area_title(plan: SweepPlan) -> str:
    """What the area of a sweep is called; only that over 0.0 to 1.0 is AUILC."""
    if plan.area_name == AUILC:
        return "AUILC"
    if plan.area_name == MEAN_OF_CASES:
        return "Mean of the cases"
    return f"Mean over {plan.rates[0]:g} to {plan.rates[-1]:g}"


def percent(value: float, *, sign: bool = False) -> str:
    """A share in percent."""
    if value != value:
        return _DASH
    rounded = round(100 * value, 1) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if sign else ''}.1f}"


def with_spread(mean: float, deviation: float) -> str:
    """Mean and standard deviation in percent, the latter where there is one."""
    return percent(mean) if deviation != deviation else f"{percent(mean)} ± {100 * deviation:.1f}"


def with_interval(text: str, bounds: NDArray[np.float64], *, sign: bool = False) -> str:
    """``text`` followed by its interval (2,)."""
    low, high = bounds.tolist()
    return text if low != low else f"{text} [{percent(low, sign=sign)}, {percent(high, sign=sign)}]"


def sweep_table(
    table: MetricTable, names: Sequence[str] | None = None, interval: Interval | None = None
) -> pd.DataFrame:
    """One row per point and one for the area: mean, deviation over mask seeds, and interval if given."""
    plan, chosen = table.plan, list(names or table.values)
    places: list[_Place] = [*range(len(plan.points)), *_places(plan)[1:]]
    rows = []
    for place in places:
        row = {axis_title(plan): _title(plan, place)}
        for name in chosen:
            text = with_spread(*_mean_and_deviation(table, name, place))
            row[METRIC_TITLES[name]] = (
                text if interval is None else with_interval(text, _bounds(interval, name, place))
            )
        rows.append(row)
    return pd.DataFrame(rows)


def protocol_table(scores: SweepScores, name: str) -> pd.DataFrame:
    """Both protocols of one metric side by side with their difference, per point and for the area."""
    rows = [
        {axis_title(scores.plan): title, "strict": texts[0], "paper": texts[1], "difference": texts[2]}
        for title, texts in _both_protocols(scores, name)
    ]
    return pd.DataFrame(rows)


def protocols_table(scores: SweepScores, names: Sequence[str]) -> pd.DataFrame:
    """Both protocols of several metrics: "strict / paper (difference)"."""
    columns = {METRIC_TITLES[name]: _both_protocols(scores, name) for name in names}
    titles = [title for title, _ in next(iter(columns.values()))]
    return pd.DataFrame(
        {
            axis_title(scores.plan): titles,
            **{
                name: [f"{strict} / {paper} ({difference})" for _, (strict, paper, difference) in rows]
                for name, rows in columns.items()
            },
        }
    )


def _both_protocols(scores: SweepScores, name: str) -> list[tuple[str, tuple[str, str, str]]]:
    """Per point and for the area: its title, and strict, paper and paper - strict."""
    plan, strict, paper = scores.plan, scores.strict, scores.paper.table
    pairs = list(zip((p.label for p in plan.points), strict.means[name], paper.means[name], strict=True))
    if plan.area_name is not None:
        pairs.append((area_title(plan), strict.mean_areas[name], paper.mean_areas[name]))
    return [(title, (percent(a), percent(b), percent(b - a, sign=True))) for title, a, b in pairs]


def interval_table(scores: SweepScores, intervals: SweepIntervals) -> pd.DataFrame:
    """Every metric at the first point and its area, with an interval per kind of resampling."""
    rows = []
    for place in _places(scores.plan):
        for name in scores.strict.values:
            row = {axis_title(scores.plan): _title(scores.plan, place), "Metric": METRIC_TITLES[name]}
            row["Score"] = with_spread(*_mean_and_deviation(scores.strict, name, place))
            for unit, interval in intervals.strict.items():
                row[f"over {unit}"] = with_interval("", _bounds(interval, name, place)).strip() or _DASH
            rows.append(row)
    return pd.DataFrame(rows)


def change_table(scores: SweepScores, change: Interval) -> pd.DataFrame:
    """What counterfactual text changes at the first point and in the area.

    Args:
        scores: of a model with counterfactual text.
        change: interval of the change.
    """
    rows = []
    for place in _places(scores.plan):
        for name in scores.strict.values:
            without, with_it = (
                _mean_and_deviation(table, name, place) for table in (scores.without, scores.strict)
            )
            difference = percent(with_it[0] - without[0], sign=True)
            rows.append(
                {
                    axis_title(scores.plan): _title(scores.plan, place),
                    "Metric": METRIC_TITLES[name],
                    "without": with_spread(*without),
                    "with": with_spread(*with_it),
                    "change": with_interval(difference, _bounds(change, name, place), sign=True),
                }
            )
    return pd.DataFrame(rows)


_Place = int | None
"""Number of a point, or None for the area."""


def _places(plan: SweepPlan) -> list[_Place]:
    """The first point, and the area where there is one."""
    return [0] if plan.area_name is None else [0, None]


def _title(plan: SweepPlan, place: _Place) -> str:
    return area_title(plan) if place is None else plan.points[place].label


def _mean_and_deviation(table: MetricTable, name: str, place: _Place) -> tuple[float, float]:
    if place is None:
        return table.mean_areas[name], table.area_deviations[name]
    return table.means[name][place], table.deviations[name][place]


def _bounds(interval: Interval, name: str, place: _Place) -> NDArray[np.float64]:
    return interval.areas[name] if place is None else np.asarray(interval.points[name][place])


def seeds_spread(sweeps: Sequence[SweepScores]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and sample standard deviation over runs of every metric, at the first point and for the area.

    Raises:
        RunError: the runs differ in their metrics or points.
    """
    first = sweeps[0]
    for sweep in sweeps[1:]:
        _check_same("metrics", list(sweep.final), list(first.final))
        _check_same(
            "missing rates", [p.label for p in sweep.plan.points], [p.label for p in first.plan.points]
        )
    result: dict[str, dict[str, tuple[float, float]]] = {}
    for name in first.final:
        result[name] = {first.plan.points[0].label: mean_and_std([sweep.final[name][0] for sweep in sweeps])}
        if first.plan.area_name is not None:
            result[name][first.plan.area_name] = mean_and_std(
                [sweep.strict.mean_areas[name] for sweep in sweeps]
            )
    return result


def seeds_table(sweeps: Sequence[SweepScores]) -> pd.DataFrame:
    """``seeds_spread`` for a person, in percent."""
    plan = sweeps[0].plan
    titles = {plan.points[0].label: f"{axis_title(plan)} {plan.points[0].label}"}
    if plan.area_name is not None:
        titles[plan.area_name] = area_title(plan)
    return pd.DataFrame(
        [
            {
                "Metric": METRIC_TITLES[name],
                **{titles[key]: with_spread(*pair) for key, pair in pairs.items()},
            }
            for name, pairs in seeds_spread(sweeps).items()
        ]
    )


def _check_same(what: str, found: Sequence[object], expected: Sequence[object]) -> None:
    if list(found) != list(expected):
        raise RunError(
            f"the runs have different {what}",
            found=", ".join(map(str, found)),
            expected=", ".join(map(str, expected)),
            do="Evaluate runs of one recipe together, others one by one",
        )
