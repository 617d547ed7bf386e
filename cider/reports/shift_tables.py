"""Shift curves as tables for a person: percent with one decimal, a dash where there is no number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cider.reports.tables import (
    METRIC_TITLES,
    area_title,
    axis_title,
    headline,
    percent,
    with_interval,
    with_spread,
)
from cider.scoring.bootstrap import Unit
from cider.scoring.shift_curve import AREA_OVER_SEVERITY, CurveGroup, SeverityAxis, ShiftCurves

BITS = "Divergence, bits"


def shown_metrics(curves: ShiftCurves) -> list[str]:
    """The metrics of the tables."""
    return headline(curves.groups[0].runs[0][0].scores)


def shown_unit(curves: ShiftCurves) -> Unit:
    """What the shown intervals resample: videos, where there are several."""
    return "videos" if "videos" in curves.groups[0].intervals else "utterances"


def shown_places(curves: ShiftCurves) -> list[int]:
    """Numbers of the first point and, where there is one, of the area over missing rates."""
    return [0] if curves.plan.area_name is None else [0, len(curves.place_names) - 1]


def place_title(curves: ShiftCurves, place: int) -> str:
    """What a place is called."""
    if place == len(curves.plan.points):
        return area_title(curves.plan)
    return f"{axis_title(curves.plan)} {curves.plan.points[place].label}"


def area_over_severity_title(axis: SeverityAxis) -> str:
    """What the area is called; only that over 0 to 1 is the area over severity."""
    if axis.area_name == AREA_OVER_SEVERITY:
        return "Area over severity"
    return f"Mean over severity {axis.levels[0]:g} to {axis.levels[-1]:g}"


def row_titles(axis: SeverityAxis) -> list[str]:
    """Titles of the L + 2 rows."""
    change = f"Change from {axis.levels[0]:g} to {axis.levels[-1]:g}"
    return [*axis.row_names[:-2], area_over_severity_title(axis), change]


def curve_table(curves: ShiftCurves, name: str) -> pd.DataFrame:
    """One metric: a row per severity and recipe, and for the area and the change over severity.

    Columns: severity and divergence of the split; at complete data (the first point) and for the area over
    missing rates the mean ± deviation over training seeds with the interval of the mean, and the difference
    to the first recipe with its interval.
    """
    unit, first = shown_unit(curves), curves.groups[0]

    def cells(group: CurveGroup, row: int) -> dict[str, str]:
        result = {"Runs": str(len(group.seeds))}
        for place in shown_places(curves):
            title = place_title(curves, place)
            mean, deviation = group.mean(name)[row, place], group.deviation(name)[row, place]
            text = (
                f"{percent(mean, sign=True)}"
                + ("" if deviation != deviation else f" ± {100 * deviation:.1f}")
                if row == len(curves.axis.levels) + 1
                else with_spread(mean, deviation)
            )
            result[title] = with_interval(text, group.intervals[unit][name][row, place], sign=text[0] in "+-")
            if len(curves.groups) > 1:
                change = ""
                if group.differences is not None:
                    change = with_interval(
                        percent(mean - first.mean(name)[row, place], sign=True),
                        group.differences[unit][name][row, place],
                        sign=True,
                    )
                result[f"difference ({title[0].lower() + title[1:] if place == 0 else title})"] = change
        return result

    return _table(curves, range(len(curves.axis.levels) + 2), cells)


def grid_table(curves: ShiftCurves, name: str) -> pd.DataFrame:
    """One metric at every severity and missing rate: mean ± deviation over training seeds."""

    def cells(group: CurveGroup, row: int) -> dict[str, str]:
        pairs = zip(group.mean(name)[row], group.deviation(name)[row], strict=True)
        titles = [point.label for point in curves.plan.points] + [area_title(curves.plan)]
        return {title: with_spread(*pair) for title, pair in zip(titles, pairs, strict=False)}

    return _table(curves, range(len(curves.axis.levels) + 1), cells)


def protocol_table(curves: ShiftCurves, place: int) -> pd.DataFrame:
    """Both protocols of the shown metrics at one place: strict / paper (paper - strict), means over seeds."""

    def cells(group: CurveGroup, row: int) -> dict[str, str]:
        result = {}
        for name in shown_metrics(curves):
            strict, paper = group.mean(name)[row, place], group.paper_mean(name)[row, place]
            difference = percent(paper - strict, sign=True)
            result[METRIC_TITLES[name]] = f"{percent(strict)} / {percent(paper)} ({difference})"
        return result

    return _table(curves, range(len(curves.axis.levels) + 1), cells)


def _table(
    curves: ShiftCurves, rows: Sequence[int], cells: Callable[[CurveGroup, int], dict[str, str]]
) -> pd.DataFrame:
    """A row per severity (or area, or change) and recipe; the recipe is named where there are several."""
    titles, lines = row_titles(curves.axis), []
    for row in rows:
        bits = "" if row >= len(curves.splits) else bits_text(curves.splits[row].divergence_bits)
        for group in curves.groups:
            named = {"Recipe": group.label} if len(curves.groups) > 1 else {}
            lines.append({"Severity": titles[row], BITS: bits, **named, **cells(group, row)})
    return pd.DataFrame(lines)


def bits_text(value: float | None) -> str:
    """A divergence with three decimals."""
    return "-" if value is None else f"{value:.3f}"


def splits_table(curves: ShiftCurves) -> pd.DataFrame:
    """The splits: how far they shift by their manifests, and their sizes."""
    lines = []
    for split in curves.splits:
        shift, folds = split.manifest.shift, split.manifest.splits
        probe = shift["text_probe"]
        accuracy = probe["test"]
        lines.append(
            {
                "Severity": f"{split.severity:g}",
                BITS: bits_text(split.divergence_bits),
                "of random splits": bits_text(shift["word_label_divergence_bits"]["random_mean"]),
                f"Bag of words, {METRIC_TITLES[probe['metric']]}": percent(
                    np.nan if accuracy is None else accuracy
                ),
                "Train / valid / test": " / ".join(
                    str(len(folds[fold])) for fold in ("train", "valid", "test")
                ),
                "Test videos": str(shift["videos"]["num_test"]),
                "Split": split.path.stem,
            }
        )
    return pd.DataFrame(lines)
