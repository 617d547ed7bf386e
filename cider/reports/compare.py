"""A comparison as tables, a chart and one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cider.reports.notes import interval_notes
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
from cider.scoring.compare import Comparison, GroupScores
from cider.scoring.confusion import chosen_points
from cider.scoring.intervals import Interval
from mer_data.files.writing import write_json
from mer_data.reports.charts.lines import line_chart
from mer_data.reports.charts.style import MOST_SERIES
from mer_data.reports.page import Figure, Report, Section, Table

SIGNIFICANT = 0.05


def shown_metrics(comparison: Comparison) -> list[str]:
    """The metrics of the tables."""
    return headline(comparison.groups[0].runs[0].scores)


def widest(intervals: dict[Unit, Interval]) -> tuple[Unit, Interval]:
    """Intervals over videos where there are any."""
    unit: Unit = "videos" if "videos" in intervals else "utterances"
    return unit, intervals[unit]


def comparison_table(comparison: Comparison, name: str) -> pd.DataFrame:
    """One metric at the looked-at points and its area: a row per place and group.

    Columns: the place, recipe and number of runs; mean ± deviation over the runs with the interval of the
    mean; difference to the first group with its interval; McNemar's p.
    """
    places = [*_points(comparison), *([] if comparison.plan.area_name is None else [None])]
    first, rows = comparison.groups[0], []
    for place in places:
        for group in comparison.groups:
            mean, deviation = _score(group, name, place)
            change, p_value = "", ""
            if group.changes is not None:
                text = percent(mean - _score(first, name, place)[0], sign=True)
                change = with_interval(text, _bounds(group.changes, name, place), sign=True)
                tested = comparison.p_values.get(name, {}) if place is not None else {}
                p_value = p_text(tested.get((place or 0, group.label), float("nan")))
            rows.append(
                {
                    axis_title(comparison.plan): _title(comparison, place),
                    "Recipe": group.label,
                    "Runs": str(len(group.runs)),
                    METRIC_TITLES[name]: with_interval(
                        with_spread(mean, deviation), _bounds(group.intervals, name, place)
                    ),
                    "Difference": change,
                    "p": p_value,
                }
            )
    frame = pd.DataFrame(rows)
    return frame if len(comparison.groups) > 1 else frame.drop(columns=["Difference", "p"])


def _title(comparison: Comparison, place: int | None) -> str:
    return area_title(comparison.plan) if place is None else comparison.plan.points[place].label


def _score(group: GroupScores, name: str, place: int | None) -> tuple[float, float]:
    return group.area(name) if place is None else group.point(name, place)


def _bounds(intervals: dict[Unit, Interval], name: str, place: int | None) -> NDArray[np.float64]:
    _, interval = widest(intervals)
    return interval.areas[name] if place is None else np.asarray(interval.points[name][place])


def mcnemar_table(comparison: Comparison) -> pd.DataFrame:
    """McNemar's tests one by one."""
    return pd.DataFrame(
        [
            {
                "Recipe": test.label,
                "Metric": METRIC_TITLES[test.metric],
                axis_title(comparison.plan): comparison.plan.points[test.point].label,
                "Seeds": f"{test.seeds[0]} / {test.seeds[1]}",
                "Only the first right": str(test.result.only_first),
                "Only this right": str(test.result.only_second),
                "p": p_text(test.result.p_value).rstrip("*"),
            }
            for test in comparison.tests
        ]
    )


def p_text(value: float) -> str:
    """A p-value, with a star below 0.05."""
    if value != value:
        return "-"
    return f"{'< 0.001' if value < 0.001 else f'{value:.3f}'}{'*' if value < SIGNIFICANT else ''}"


def comparison_notes(comparison: Comparison) -> list[str]:
    """How the numbers came about."""
    first = comparison.groups[0]
    taus = "; ".join(
        f"{group.label}:"
        f" {', '.join('none' if run.scores.tau is None else f'{run.scores.tau:.1f}' for run in group.runs)}"
        for group in comparison.groups
    )
    seeds = ", ".join(map(str, comparison.plan.mask_seeds))
    return [
        "Strict protocol: checkpoint and tau of every run from validation, class means from training. tau of"
        f" each run: {taus}.",
        "± is the sample standard deviation over training seeds. It is not part of the intervals, which take"
        " the runs as they are.",
        f"Differences are to {first.label}, on the same resamples of the test fold (paired).",
        "p: McNemar's exact test of single predictions, run by run in the order of the training seeds, with"
        " Holm's adjustment over all tests of a metric; of several pairs the largest. * marks p < 0.05. Of"
        " several mask seeds the first is tested.",
        f"Mask seeds: {seeds}. All runs are measured on the same masks.",
        *interval_notes(comparison.resamples, comparison.notes),
    ]


def comparison_report(comparison: Comparison, chart: Path | None) -> Report:
    """The page."""
    first = comparison.groups[0].runs[0]
    unit, _ = widest(comparison.groups[0].intervals)
    figures = []
    if chart is not None:
        name = METRIC_TITLES[shown_metrics(comparison)[0]]
        caption = f"{name} against the missing rate. Bars: one standard deviation over training seeds."
        figures = [Figure(chart, caption, f"Line chart of {name} of every recipe")]
    groups, pattern = comparison.groups, comparison.plan.pattern
    num_runs = sum(len(group.runs) for group in groups)
    title = (
        f"Comparison of {len(groups)} recipes" if len(groups) > 1 else f"{groups[0].label}: {num_runs} runs"
    )
    return Report(
        title=f"{title}, {pattern}",
        intro=[
            f"{num_runs} runs on the same {len(first.test.ids)} test utterances of"
            f" {len(set(first.test.videos))} videos, task {first.scores.task.name}."
        ],
        sections=[
            Section(
                "Test scores",
                tables=[
                    *(
                        Table(
                            f"{METRIC_TITLES[name]} in percent: mean ± standard deviation over runs, and"
                            f" difference to the first recipe [95 % intervals over {unit}]; p of McNemar's"
                            " test.",
                            comparison_table(comparison, name),
                        )
                        for name in shown_metrics(comparison)
                    ),
                    *(
                        [Table("McNemar's tests one by one.", mcnemar_table(comparison), folded=True)]
                        * (len(groups) > 1)
                    ),
                ],
                figures=figures,
            ),
            Section("What was compared", facts=_facts(comparison)),
            Section("Notes", comparison_notes(comparison)),
        ],
    )


def write_comparison(folder: str | Path, comparison: Comparison) -> list[Path]:
    """Write ``comparison.json``, ``summary.md``, ``summary.html`` and the chart to ``folder``; the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", comparison.to_json())
    charts = _draw(folder / "scores_by_rate", comparison)
    report = comparison_report(comparison, charts[0] if charts else None)
    return [folder / "comparison.json", *charts, *report.write(folder)]


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    return [(group.label, "\n".join(_run_lines(group))) for group in comparison.groups]


def _run_lines(group: GroupScores) -> list[str]:
    digests = group.runs[0].identity
    runs = [
        f"{run.path.resolve().name}: seed {run.seed}, checkpoint {run.identity['checkpoint']}"
        for run in group.runs
    ]
    return [*runs, f"store {digests['store']}", f"split {digests['split']}"]


def _points(comparison: Comparison) -> Sequence[int]:
    """The first point and the middle one; all tested ones of SMM."""
    points = chosen_points(comparison.plan)
    return points if not comparison.plan.rates else points[:2]


def _draw(path_stem: Path, comparison: Comparison) -> list[Path]:
    """The first metric of every group against the missing rate; nothing for SMM or a single rate."""
    plan, name = comparison.plan, shown_metrics(comparison)[0]
    if len(plan.rates) < 2 or len(comparison.groups) > MOST_SERIES:
        return []
    series = {}
    for group in comparison.groups:
        pairs = [group.point(name, number) for number in range(len(plan.rates))]
        series[group.label] = [
            (rate, mean, None if deviation != deviation else deviation)
            for rate, (mean, deviation) in zip(plan.rates, pairs, strict=True)
        ]
    return line_chart(
        series,
        x_label="Missing rate (share of positions removed)",
        y_label=f"Test {METRIC_TITLES[name]} (%)",
        title=f"{METRIC_TITLES[name]} against missing rate ({plan.pattern})",
        path_stem=path_stem,
        percent=True,
    )
