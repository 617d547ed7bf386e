"""The report of a sweep, computed from its predictions alone: tables, charts, Markdown and one HTML page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cider.reports.notes import RunFacts, SweepResult, run_facts, run_notes
from cider.reports.tables import (
    METRIC_TITLES,
    area_title,
    axis_title,
    change_table,
    headline,
    interval_table,
    percent,
    protocols_table,
    sweep_table,
)
from cider.scoring.bootstrap import LEVEL, Unit
from cider.scoring.conditions import AUILC, SMM
from cider.scoring.confusion import draw_confusion
from cider.scoring.intervals import SweepIntervals
from cider.scoring.prediction_frame import EVALUATED_MEANS, told_target
from cider.scoring.protocols import MetricTable, SweepScores
from mer_data.files.writing import write_json
from mer_data.reports.charts.lines import line_chart
from mer_data.reports.charts.matrices import Matrix, matrix_chart
from mer_data.reports.page import Figure, Report, Section, Table


def write_report(folder: str | Path, facts: RunFacts, measured: SweepResult) -> list[Path]:
    """Write ``metrics.json``, ``summary.md``, ``summary.html`` and the charts (PNG, PDF) to ``folder``.

    Args:
        folder: made when absent; files of the same names are replaced.
        facts: what was measured.
        measured: the scores.

    Returns:
        The files written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scores = measured.scores
    write_json(folder / "metrics.json", measured.to_json())
    by_point = _draw_points(folder / "scores_by_rate", facts, measured)
    protocols = _draw_protocols(folder / "protocols_by_rate", facts, scores)
    matrices = draw_confusion(scores, measured.predictions.test.labels, folder / "confusion")
    report = Report(
        title=f"{facts.recipe.name}, seed {facts.recipe.seed}: {scores.plan.pattern}{_elsewhere(measured)}",
        intro=_intro(facts, measured),
        sections=[
            _test_scores(measured, by_point[0]),
            _protocols(scores, protocols[0]),
            *_counterfactual(measured),
            _confusion(scores, matrices[0]),
            Section("What was run", facts=run_facts(facts, measured)),
            Section("Notes", run_notes(facts, measured)),
        ],
    )
    return [folder / "metrics.json", *by_point, *protocols, *matrices, *report.write(folder)]


def _intro(facts: RunFacts, measured: SweepResult) -> list[str]:
    scores, recipe = measured.scores, facts.recipe
    name = headline(scores)[0]
    shown = [
        f"{percent(scores.final[name][0])} % at {axis_title(scores.plan).lower()}"
        f" {scores.plan.points[0].label}"
    ]
    if scores.plan.area_name is not None:
        title = area_title(scores.plan)
        title = title if scores.plan.area_name == AUILC else title[0].lower() + title[1:]
        shown.append(f"{title} {percent(scores.strict.mean_areas[name])} %")
    test, elsewhere = measured.predictions.test, _elsewhere(measured)
    return [
        f"{METRIC_TITLES[name]} on the {len(test.ids)} test utterances of {len(set(test.videos))} videos"
        f"{elsewhere and f' ({elsewhere.lstrip()}; trained on {recipe.data.dataset})'}: {', '.join(shown)}.",
        f"Task {recipe.task}, text encoder {recipe.model.text_encoder}, causal inference:"
        f" {recipe.model.maci}. Missing pattern {scores.plan.pattern}{_seeds(scores)}. All scores are in"
        " percent. Unless marked otherwise they are by the strict protocol: checkpoint and debiasing strength"
        f" tau were chosen on the validation fold{elsewhere and ' of the corpus of training'}, class means"
        " are the training fold's, and test labels decided nothing.",
    ]


def _elsewhere(measured: SweepResult) -> str:
    """Where the test utterances are from, if not from the run's own split."""
    target = measured.predictions.target
    return "" if target is None else f" {told_target(target)}"


def _seeds(scores: SweepScores) -> str:
    seeds = scores.plan.mask_seeds
    if scores.plan.pattern == SMM:
        return ""
    return f", mask seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _test_scores(measured: SweepResult, chart: Path) -> Section:
    scores, intervals = measured.scores, measured.intervals
    several = " ± standard deviation over the mask seeds" if scores.plan.num_seeds > 1 else ""
    tau = (
        []
        if scores.tau is None
        else [
            f"tau = {scores.tau:.1f}, best {METRIC_TITLES[scores.tau_metric]} over the points on validation,"
            f" subtracted from {'log-probabilities' if scores.debiasing == 'log' else 'probabilities'}."
        ]
    )
    share, unit = f"{100 * LEVEL:.0f} %", _unit(intervals)
    return Section(
        "Test scores",
        paragraphs=tau,
        tables=[
            Table(
                f"Strict protocol{several} [{share} interval over {unit}].",
                sweep_table(scores.strict, headline(scores), intervals.strict[unit]),
            ),
            Table(
                f"The same for every metric, with {share} intervals over utterances and over whole videos.",
                interval_table(scores, intervals),
            ),
            Table("Every metric at every point.", sweep_table(scores.strict), folded=True),
        ],
        figures=[
            Figure(chart, _chart_caption(measured), "The scores of the first table as a chart"),
        ],
    )


def _chart_caption(measured: SweepResult) -> str:
    scores = measured.scores
    if not scores.plan.rates:
        return "Strict test scores by the modalities that are kept."
    band = METRIC_TITLES[headline(scores)[0]]
    bars = " Bars: one standard deviation over the mask seeds." if scores.plan.num_seeds > 1 else ""
    return (
        f"Strict test scores against the missing rate, pattern {scores.plan.pattern}. Shaded: interval of"
        f" {band} over {_unit(measured.intervals)}.{bars}"
    )


def _unit(intervals: SweepIntervals) -> Unit:
    """What the shown intervals resample: videos, where there are several."""
    return "videos" if "videos" in intervals.strict else "utterances"


def _draw_points(path_stem: Path, facts: RunFacts, measured: SweepResult) -> list[Path]:
    """Strict scores against the rate, or by kept modalities."""
    scores, names = measured.scores, headline(measured.scores)
    if not scores.plan.rates:
        return _draw_cases(path_stem, {METRIC_TITLES[name]: scores.final[name] for name in names}, scores)
    interval = measured.intervals.strict[_unit(measured.intervals)]
    low_high = interval.points[names[0]].tolist()
    return line_chart(
        {METRIC_TITLES[name]: _points(scores.strict, name) for name in names},
        x_label="Missing rate (share of positions removed)",
        y_label="Test score (%)",
        title=f"{facts.recipe.name}: test scores against missing rate ({scores.plan.pattern})",
        path_stem=path_stem,
        percent=True,
        bands={
            METRIC_TITLES[names[0]]: [
                (rate, low, high) for rate, (low, high) in zip(scores.rates, low_high, strict=True)
            ]
        },
    )


def _draw_protocols(path_stem: Path, facts: RunFacts, scores: SweepScores) -> list[Path]:
    """Strict, paper and without counterfactual text, for the first metric."""
    name = headline(scores)[0]
    tables = {"strict": scores.strict, "paper": scores.paper.table}
    if scores.tau is not None:
        tables["strict, without counterfactual text"] = scores.without
    if not scores.plan.rates:
        return _draw_cases(path_stem, {title: table.means[name] for title, table in tables.items()}, scores)
    return line_chart(
        {title: _points(table, name) for title, table in tables.items()},
        x_label="Missing rate (share of positions removed)",
        y_label=f"Test {METRIC_TITLES[name]} (%)",
        title=f"{facts.recipe.name}: {METRIC_TITLES[name]} by protocol ({scores.plan.pattern})",
        path_stem=path_stem,
        percent=True,
    )


def _draw_cases(path_stem: Path, rows: dict[str, list[float]], scores: SweepScores) -> list[Path]:
    """Scores of the cases of SMM as a matrix."""
    values = np.array(list(rows.values()), dtype=np.float64)
    lowest = 0.0 if np.isnan(values).all() else float(np.nanmin(values))
    return matrix_chart(
        [Matrix("", values, [[percent(value) for value in row] for row in values.tolist()])],
        row_names=list(rows),
        column_names=[point.label for point in scores.plan.points],
        row_label="",
        column_label="Kept modalities (L text, A audio, V vision)",
        title="Test scores in percent by kept modalities",
        path_stem=path_stem,
        scale=(lowest - 0.1, 1.0),
    )


def _points(table: MetricTable, name: str) -> list[tuple[float, float, float | None]]:
    deviations = [None if value != value else value for value in table.deviations[name]]
    return list(zip(table.plan.rates, table.means[name], deviations, strict=True))


def _protocols(scores: SweepScores, chart: Path) -> Section:
    paper = scores.paper
    means = (
        "the class means of the test fold, made with its labels"
        if paper.means == EVALUATED_MEANS
        else "no class means, as the model has no causal head"
    )
    tau = (
        "no tau, as the model has no counterfactual text"
        if paper.taus is None
        else "for every metric, point and mask seed the tau with the best result on the test labels"
    )
    return Section(
        "Strict and paper protocol",
        paragraphs=[
            "Both are computed from the same predictions. The paper protocol repeats how published numbers"
            f" were made: {tau}; {means}. It measures what a choice on test data adds, not what the model can"
            " do.",
            "The checkpoint is the same in both, the one that validation chose: a checkpoint chosen on test"
            " data would add to the difference.",
        ],
        tables=[
            Table("Percent: strict / paper (paper - strict).", protocols_table(scores, headline(scores)))
        ],
        figures=[
            Figure(
                chart,
                f"{METRIC_TITLES[headline(scores)[0]]} by protocol.",
                "The protocols of the table above as a chart",
            )
        ],
    )


def _counterfactual(measured: SweepResult) -> list[Section]:
    scores, change = measured.scores, measured.intervals.change
    if scores.tau is None or change is None:
        return []
    if scores.tau == 0:
        paragraphs = [
            "Validation chose tau = 0: debiasing by counterfactual text is off, and changes nothing."
        ]
        return [Section("What counterfactual text changes", paragraphs)]
    unit = _unit(measured.intervals)
    return [
        Section(
            "What counterfactual text changes",
            tables=[
                Table(
                    f"Percent, strict protocol: tau = 0 (without), tau = {scores.tau:.1f} (with), and the"
                    f" change with its {100 * LEVEL:.0f} % interval over {unit}.",
                    change_table(scores, change[unit]),
                )
            ],
        )
    ]


def _confusion(scores: SweepScores, chart: Path) -> Section:
    caption = "Percent of the utterances of each true class; the number of utterances is beside its name."
    return Section(
        "Confusion matrices",
        figures=[Figure(chart, caption, "Matrices of true against predicted class")],
    )
