"""The report of a sweep, computed from its predictions alone: tables, a chart, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cider.evaluation.metrics import mean_and_std
from cider.evaluation.sweep import SweepScores
from cider.recipe import Recipe
from mer_data.errors import RunError
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
    write_json(folder / "metrics.json", sweep.to_json())
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
            "Missing rate": str(rate),
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


def seeds_spread(sweeps: list[SweepScores]) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and sample standard deviation over runs of every metric, at the lowest rate and for AUILC.

    Raises:
        RunError: the runs differ in their metrics or missing rates.
    """
    first = sweeps[0]
    for sweep in sweeps[1:]:
        _check_same("metrics", list(sweep.final), list(first.final))
        _check_same("missing rates", sweep.rates, first.rates)
    result: dict[str, dict[str, tuple[float, float]]] = {}
    for name in first.final:
        result[name] = {f"rate_{first.rates[0]}": mean_and_std([sweep.final[name][0] for sweep in sweeps])}
        if len(first.rates) > 1:
            result[name]["auilc"] = mean_and_std([sweep.areas(sweep.final)[name] for sweep in sweeps])
    return result


def seeds_table(sweeps: list[SweepScores]) -> pd.DataFrame:
    """``seeds_spread`` for a person, in percent."""
    titles = {f"rate_{sweeps[0].rates[0]}": f"Rate {sweeps[0].rates[0]}", "auilc": _AREA_ROW}
    return pd.DataFrame(
        [
            {"Metric": METRIC_TITLES[name], **{titles[key]: _spread(*pair) for key, pair in pairs.items()}}
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


def _spread(mean: float, deviation: float) -> str:
    return _percent(mean) if deviation != deviation else f"{100 * mean:.1f} ± {100 * deviation:.1f}"
