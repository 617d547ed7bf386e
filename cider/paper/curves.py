"""A per-rate table as lines: every published method and ours against the missing rate."""

from __future__ import annotations

from pathlib import Path

from cider.paper.plan import Plan, sweep_of
from cider.paper.run import Measurements
from cider.paper.schema import PublishedMetric
from cider.paper.tables import Column
from cider.reports.tables import METRIC_TITLES
from cider.scoring.metrics import mean_and_std
from mer_data.reports.charts.lines import line_chart
from mer_data.reports.charts.style import Point
from mer_data.reports.page import Figure


def draw_curves(plan: Plan, found: Measurements, folder: Path) -> list[Figure]:
    """One figure per metric, as PNG and PDF in ``folder``; none where the table is not per rate."""
    if plan.table.content.kind != "per_rate":
        return []
    metrics = dict.fromkeys(column.metric for column in plan.columns)
    return [_draw(plan, found, metric, folder / f"{metric}_by_rate") for metric in metrics]


def _draw(plan: Plan, found: Measurements, metric: PublishedMetric, path_stem: Path) -> Figure:
    column = next(one for one in plan.columns if one.metric == metric)
    published = plan.table.series(metric)
    rates = [float(rate) for rate in published.index]
    series: dict[str, list[Point]] = {}
    floors = plan.table.floors
    for row in (row for row in plan.table.rows if row not in floors):
        name = f"{row.name}, published" if row in plan.rows else row.name
        shares = (published[row.name] / 100).tolist()
        series[name] = [(rate, share, None) for rate, share in zip(rates, shares, strict=True)]
    front = [f"{row.name}, published" for row in plan.rows if row not in floors]
    num_published = len(front)
    for row in plan.rows:
        for protocol in ("strict", "paper"):
            points = _ours(plan, found, row.name, column, protocol)
            if points:
                name = f"{row.name}, ours, {protocol}"
                series[name] = points
                front.append(name)
    title = f"Table {plan.table.content.number}: {METRIC_TITLES[metric]} against missing rate"
    png, _ = line_chart(
        series,
        x_label=f"Missing rate (share of positions removed, pattern {column.pattern})",
        y_label=f"Test {METRIC_TITLES[metric]} (%)",
        title=title,
        path_stem=path_stem,
        percent=True,
        emphasis=front,
    )
    caption = (
        f"{METRIC_TITLES[metric]} against the missing rate. Thin and grey: rows that are published only."
    )
    if len(front) > num_published:
        caption += " Bars: one standard deviation over training seeds."
    return Figure(png, caption, title)


def _ours(plan: Plan, found: Measurements, row: str, column: Column, protocol: str) -> list[Point]:
    """Mean and deviation over the seeds that are there, at every rate of the sweep."""
    (run,) = plan.runs(plan.table.row(row), column)
    sweep = sweep_of(column)
    if sweep is None:
        return []
    sweeps = [found.scores.get((run.name, seed), {}).get(sweep) for seed in plan.seeds]
    tables = [s.strict if protocol == "strict" else s.paper.table for s in sweeps if s is not None]
    if not tables:
        return []
    points: list[Point] = []
    for place, rate in enumerate(tables[0].plan.rates):
        mean, deviation = mean_and_std([table.means[column.metric][place] for table in tables])
        points.append((rate, mean, None if deviation != deviation else deviation))
    return points
