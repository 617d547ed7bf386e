"""Shift curves as tables, charts and one HTML page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cider.reports.notes import interval_notes
from cider.reports.shift_tables import (
    area_over_severity_title,
    curve_table,
    grid_table,
    place_title,
    protocol_table,
    shown_metrics,
    shown_places,
    shown_unit,
    splits_table,
)
from cider.reports.tables import METRIC_TITLES, percent
from cider.scoring.bootstrap import LEVEL
from cider.scoring.shift_curve import AREA_OVER_SEVERITY, CurveGroup, ShiftCurves
from mer_data.files.writing import write_json
from mer_data.reports.charts.lines import line_chart
from mer_data.reports.charts.matrices import Matrix, matrix_chart
from mer_data.reports.charts.style import MOST_SERIES
from mer_data.reports.page import Figure, Report, Section, Table


def write_shift_report(folder: Path, curves: ShiftCurves) -> list[Path]:
    """Write ``shift.json``, ``summary.md``, ``summary.html`` and the charts (PNG, PDF) to ``folder``.

    Args:
        folder: made when absent; files of the same names are replaced.
        curves: what is reported.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "shift.json", curves.to_json())
    names = ("by_severity", "area_by_severity")
    lines = [
        draw_curve(folder / name, curves, place)
        for name, place in zip(names, shown_places(curves), strict=False)
        if len(curves.groups) <= MOST_SERIES
    ]
    grid = draw_grid(folder / "severity_by_rate", curves)
    report = shift_report(curves, [paths[0] for paths in lines], grid[0])
    charts = [path for paths in (*lines, grid) for path in paths]
    return [folder / "shift.json", *charts, *report.write(folder)]


def draw_curve(path_stem: Path, curves: ShiftCurves, place: int) -> list[Path]:
    """Scores at one place against severity: the shown metrics of one recipe, or one metric of several."""
    metrics, groups, unit = shown_metrics(curves), curves.groups, shown_unit(curves)
    lines: dict[str, tuple[CurveGroup, str]] = (
        {METRIC_TITLES[name]: (groups[0], name) for name in metrics}
        if len(groups) == 1
        else {group.label: (group, metrics[0]) for group in groups}
    )
    shaded = {title: line for title, line in lines.items() if line[1] == metrics[0]}
    what = METRIC_TITLES[metrics[0]] if len(groups) > 1 else groups[0].label
    levels = curves.axis.levels
    return line_chart(
        {
            title: [
                (level, mean, None if deviation != deviation else deviation)
                for level, mean, deviation in zip(
                    levels, group.mean(name)[:, place], group.deviation(name)[:, place], strict=False
                )
            ]
            for title, (group, name) in lines.items()
        },
        x_label="Severity (0 random split, 1 strongest shift that the search finds)",
        y_label="Test score (%)" if len(groups) == 1 else f"Test {METRIC_TITLES[metrics[0]]} (%)",
        title=f"{what} against severity: {_lower(place_title(curves, place))} ({curves.plan.pattern})",
        path_stem=path_stem,
        percent=True,
        bands={
            title: [
                (level, *bounds)
                for level, bounds in zip(levels, group.intervals[unit][name][:, place].tolist(), strict=False)
            ]
            for title, (group, name) in shaded.items()
        },
    )


def draw_grid(path_stem: Path, curves: ShiftCurves) -> list[Path]:
    """The first metric by severity and missing rate, a panel per recipe, on one scale."""
    name, num = shown_metrics(curves)[0], len(curves.axis.levels)
    values = [group.mean(name)[:num, : len(curves.plan.points)] for group in curves.groups]
    known = np.concatenate([table[~np.isnan(table)] for table in values] + [np.zeros(1)])
    low, high = (float(known[:-1].min()), float(known[:-1].max())) if len(known) > 1 else (0.0, 1.0)
    return matrix_chart(
        [
            Matrix(
                group.label if len(curves.groups) > 1 else "",
                table,
                [[percent(value) for value in row] for row in table.tolist()],
            )
            for group, table in zip(curves.groups, values, strict=True)
        ],
        row_names=curves.axis.row_names[:num],
        column_names=[point.label for point in curves.plan.points],
        row_label="Severity",
        column_label="Missing rate (share of positions removed)"
        if curves.plan.rates
        else "Kept modalities (L text, A audio, V vision)",
        title=f"Test {METRIC_TITLES[name]} in percent by severity and"
        f" {'missing rate' if curves.plan.rates else 'kept modalities'} ({curves.plan.pattern})",
        path_stem=path_stem,
        scale=(low - 0.05, high + 0.05),
    )


def shift_report(curves: ShiftCurves, lines: list[Path], grid: Path) -> Report:
    """The page.

    Args:
        curves: what is reported.
        lines: PNG of the curve at every shown place; none where there are too many recipes.
        grid: PNG of the heat map.
    """
    groups, first = curves.groups, curves.groups[0]
    metrics, unit, places = shown_metrics(curves), shown_unit(curves), shown_places(curves)
    share = f"{100 * LEVEL:.0f} %"
    recipes = first.label if len(groups) == 1 else f"{len(groups)} recipes"
    compared = ", and difference to the first recipe" if len(groups) > 1 else ""
    num_runs = sum(len(group.seeds) * len(curves.splits) for group in groups)
    return Report(
        title=f"{recipes} against distribution shift, {curves.plan.pattern}",
        intro=_intro(curves, num_runs),
        sections=[
            Section(
                "Scores against severity",
                tables=[
                    Table(
                        f"{METRIC_TITLES[name]} in percent: mean ± standard deviation over training seeds"
                        f"{compared} [{share} intervals over {unit}].",
                        curve_table(curves, name),
                    )
                    for name in metrics
                ],
                figures=[
                    Figure(path, _curve_caption(curves, place), "Scores of the tables above against severity")
                    for path, place in zip(lines, places, strict=False)
                ],
            ),
            Section(
                "Severity and missing rate together",
                tables=[
                    Table(
                        f"{METRIC_TITLES[name]} at every severity and"
                        f" {'missing rate' if curves.plan.rates else 'case'}.",
                        grid_table(curves, name),
                        folded=True,
                    )
                    for name in metrics
                ],
                figures=[
                    Figure(
                        grid,
                        f"{METRIC_TITLES[metrics[0]]}, strict protocol, mean over training seeds.",
                        "Heat map of the scores by severity and missing rate",
                    )
                ],
            ),
            Section(
                "Strict and paper protocol",
                paragraphs=[
                    "Both are computed from the same predictions. The paper protocol repeats how published"
                    " numbers were made: for every metric, point and mask seed the tau with the best result"
                    " on the test labels, and class means of the test fold. What it adds is no skill."
                ],
                tables=[
                    Table(
                        f"{place_title(curves, place)}, percent: strict / paper (paper - strict).",
                        protocol_table(curves, place),
                    )
                    for place in places
                ],
            ),
            Section(
                "The splits",
                paragraphs=[
                    f"Series {curves.splits[0].series_name} of {curves.splits[0].manifest.dataset}, task"
                    f" {curves.splits[0].manifest.task}. Divergence: how far words go with other labels in"
                    " test than in the rest. The bag of words is logistic regression on which words occur,"
                    " trained on the training fold of each split."
                ],
                tables=[Table("As the manifests state them.", splits_table(curves), ["Split"])],
            ),
            Section("What was run", facts=[(group.label, _runs(curves, group)) for group in groups]),
            Section("Notes", shift_notes(curves)),
        ],
    )


def _intro(curves: ShiftCurves, num_runs: int) -> list[str]:
    name, first = shown_metrics(curves)[0], curves.groups[0]
    area = len(curves.splits)
    shown = []
    for group in curves.groups:
        scores = [
            f"{percent(group.mean(name)[area, place])} % ({_lower(place_title(curves, place))})"
            for place in shown_places(curves)
        ]
        shown.append(f"{group.label}: {', '.join(scores)}")
    title = area_over_severity_title(curves.axis)
    test = first.runs[0][0].test
    return [
        f"{METRIC_TITLES[name]}, {_lower(title)}: {'; '.join(shown)}.",
        f"{num_runs} runs on {len(curves.splits)} splits of {curves.splits[0].manifest.dataset}, the smallest"
        f" shift with {len(test.ids)} test utterances. All scores are in percent. Unless marked otherwise"
        " they are by the strict protocol: checkpoint and tau of every run from validation, class means from"
        " training, and test labels decided nothing.",
    ]


def _curve_caption(curves: ShiftCurves, place: int) -> str:
    bars = " Bars: one standard deviation over training seeds."
    several = any(len(group.seeds) > 1 for group in curves.groups)
    shaded = METRIC_TITLES[shown_metrics(curves)[0]]
    return (
        f"{place_title(curves, place)}: strict test scores against severity. Shaded: interval of {shaded}"
        f" over {shown_unit(curves)}.{bars if several else ''}"
    )


def _runs(curves: ShiftCurves, group: CurveGroup) -> str:
    lines = []
    for split, runs in zip(curves.splits, group.runs, strict=True):
        lines.append(f"severity {split.severity:g}: split {split.manifest.digest}")
        for run in runs:
            tau = "none" if run.scores.tau is None else f"{run.scores.tau:.1f}"
            lines.append(f"  {run.path}: seed {run.seed}, tau {tau}, checkpoint {run.identity['checkpoint']}")
    return "\n".join([*lines, f"store {group.runs[0][0].identity['store']}"])


def shift_notes(curves: ShiftCurves) -> list[str]:
    """How the numbers came about, and what they do not say."""
    levels, axis = ", ".join(curves.axis.row_names[:-2]), curves.axis
    area = area_over_severity_title(axis)
    valid = curves.splits[0].manifest.shift["valid_with"]
    seeds = ", ".join(map(str, curves.plan.mask_seeds))
    return [
        f"{area}: trapezoid area of a score over the severities {levels}, divided by their range"
        + (
            ", which is 1; other severities between them give another area."
            if axis.area_name == AREA_OVER_SEVERITY
            else ". They do not span 0 to 1, so it is not to be compared with the area over severity."
        ),
        "Every severity has a training fold of its own. A point is a model trained and tested on that split,"
        " not one model on ever harder data.",
        "Severity 1 is adversarial: in test, words go with the opposite labels, so a model of words can fall"
        " below chance.",
        "Validation is drawn from the side of"
        + (
            " train: checkpoint and tau were chosen on data that is not shifted."
            if valid == "train"
            else " test: checkpoint and tau were chosen on data that is shifted as test is."
        ),
        "± is the sample standard deviation over training seeds. It is not part of the intervals, which take"
        " the runs as they are; of a single seed nothing is known about it.",
        *(
            [f"Differences are to {curves.groups[0].label}, on the same resamples (paired)."]
            if len(curves.groups) > 1
            else []
        ),
        "Test folds of different severities have utterances in common. A resample draws from all of them"
        " together, and each fold takes its own, so intervals of area and change know what the folds share.",
        f"Mask seeds: {seeds}. All runs are measured on the same masks.",
        *interval_notes(curves.resamples, curves.notes),
    ]


def _lower(title: str) -> str:
    """A title inside a sentence; names stay."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]
