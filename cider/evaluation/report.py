"""The report of a sweep, computed from its predictions alone: tables, a chart, Markdown and HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from cider.evaluation.metrics import mean_and_std
from cider.evaluation.sweep import SweepScores
from cider.recipe import Recipe
from mer_data.files import write_json
from mer_data.reports.figures import line_chart
from mer_data.reports.page import Figure, Report, Section, Table

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
_AREA_ROW = "AUILC"


def write_report(
    folder: Path, sweep: SweepScores, recipe: Recipe, provenance: dict[str, Any], pattern: str, mask_seed: int
) -> list[Path]:
    """Write ``metrics.json``, ``summary.md``, ``summary.html`` and the chart (PNG, PDF) to ``folder``.

    Args:
        folder: made when absent; files of the same names are replaced.
        sweep: the scores.
        recipe: the recipe of the run.
        provenance: what the run was trained on.
        pattern: missing pattern of the sweep.
        mask_seed: seed of its masks.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", _without_nan(sweep.to_json()))
    chart = line_chart(
        {METRIC_TITLES[name]: _points(sweep, name) for name in _headline(sweep)},
        x_label="Missing rate (share of positions removed)",
        y_label="Test score (%)",
        title=f"{recipe.name}: test scores against missing rate ({pattern})",
        path_stem=folder / "scores_by_rate",
        percent=True,
    )
    report = Report(
        title=f"{recipe.name}, seed {recipe.seed}",
        intro=_intro(recipe, provenance, pattern, mask_seed),
        sections=_sections(sweep, chart[0], pattern),
    )
    return [folder / "metrics.json", *chart, *report.write(folder)]


def sweep_table(sweep: SweepScores, values: dict[str, list[float]]) -> pd.DataFrame:
    """One row per rate and one for AUILC, percent with one decimal."""
    rows = [
        {
            "Missing rate": f"{rate:.1f}",
            **{METRIC_TITLES[name]: _percent(column[i]) for name, column in values.items()},
        }
        for i, rate in enumerate(sweep.rates)
    ]
    if len(sweep.rates) > 1:
        areas = sweep.areas(values)
        rows.append(
            {"Missing rate": _AREA_ROW, **{METRIC_TITLES[n]: _percent(area) for n, area in areas.items()}}
        )
    return pd.DataFrame(rows)


def seeds_table(sweeps: list[SweepScores]) -> pd.DataFrame:
    """Mean and sample standard deviation over runs: the lowest rate and AUILC, in percent."""
    rows = []
    for name in sweeps[0].final:
        row = {"Metric": METRIC_TITLES[name]}
        row[f"Rate {sweeps[0].rates[0]:.1f}"] = _spread([sweep.final[name][0] for sweep in sweeps])
        if len(sweeps[0].rates) > 1:
            row[_AREA_ROW] = _spread([sweep.areas(sweep.final)[name] for sweep in sweeps])
        rows.append(row)
    return pd.DataFrame(rows)


def _intro(recipe: Recipe, provenance: dict[str, Any], pattern: str, mask_seed: int) -> list[str]:
    sizes = " / ".join(str(size) for size in provenance["fold_sizes"].values())
    return [
        f"Task {recipe.task}, text encoder {recipe.model.text_encoder}, causal inference:"
        f" {recipe.model.maci}. Missing pattern {pattern}, mask seed {mask_seed}."
        f" Train / valid / test: {sizes} utterances.",
        "Checkpoint and debiasing strength tau were chosen on the validation fold; class means are the"
        " training fold's. Test labels decided nothing.",
        f"Store {provenance['store_digest']}, split {provenance['split_digest']}.",
    ]


def _sections(sweep: SweepScores, chart: Path, pattern: str) -> list[Section]:
    figure = Figure(
        chart, f"Test scores against the missing rate, pattern {pattern}.", "Line chart of the table above"
    )
    if sweep.debiased is None:
        return [
            Section(
                "Test scores", tables=[Table("Percent.", sweep_table(sweep, sweep.plain))], figures=[figure]
            )
        ]
    return [
        Section(
            "Test scores with counterfactual debiasing",
            paragraphs=[
                f"tau = {sweep.tau:.1f}, best {METRIC_TITLES[sweep.tau_metric]} over the rates on validation."
            ],
            tables=[Table("Percent, P(Y|do(l)) - tau P(Y|do(l_cf)).", sweep_table(sweep, sweep.debiased))],
            figures=[figure],
        ),
        Section(
            "Test scores without it",
            tables=[Table("Percent, P(Y|do(l)) alone (tau = 0).", sweep_table(sweep, sweep.plain))],
        ),
    ]


def _headline(sweep: SweepScores) -> list[str]:
    return [name for name in ("acc2", "f1", "acc3", "acc7", "f1_7") if name in sweep.final]


def _points(sweep: SweepScores, name: str) -> list[tuple[float, float, float | None]]:
    return [(rate, value, None) for rate, value in zip(sweep.rates, sweep.final[name], strict=True)]


def _percent(value: float) -> str:
    return "-" if value != value else f"{100 * value:.1f}"


def _spread(values: list[float]) -> str:
    mean, deviation = mean_and_std(values)
    return _percent(mean) if deviation != deviation else f"{100 * mean:.1f} ± {100 * deviation:.1f}"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a metric of an empty group becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
