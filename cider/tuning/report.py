"""What a study found: the table of its trials, the best as a recipe, history and importance as figures."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from cider.recipe.schema import Recipe
from cider.tuning.space import exact_values, with_values
from cider.tuning.study import BEST_EPOCH, MESSAGE, counted, state_of
from mer_data.errors import RunError
from mer_data.files.csv_files import write_csv
from mer_data.files.writing import write_text
from mer_data.files.yaml_files import to_yaml
from mer_data.reports.charts.style import save_figure, series_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_FOR_IMPORTANCE = 10
"""Complete trials below which an importance would be noise."""


@dataclass(frozen=True)
class TuningReport:
    """What was written.

    Attributes:
        best: the complete trial with the highest validation score.
        values: of the keys searched, as the best recipe has them.
        states: number of trials by what became of them.
        recipe: the best trial's recipe.
        table: every trial as CSV.
        figures: PNG and PDF.
    """

    best: FrozenTrial
    values: dict[str, Any]
    states: dict[str, int]
    recipe: Path
    table: Path
    figures: tuple[Path, ...]


def write_tuning_report(study: optuna.Study, recipe: Recipe, folder: str | Path) -> TuningReport:
    """Write ``trials.csv``, ``best.yaml`` and the figures into ``folder``.

    Args:
        study: with at least one complete trial.
        recipe: that every trial started from.
        folder: of the study.

    Raises:
        RunError: no trial is complete; the table is written all the same.
    """
    folder = Path(folder)
    table = folder / "trials.csv"
    trials = trials_table(study, recipe)
    write_csv(trials, table)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    states = Counter(trials["state"])
    if not complete:
        raise RunError(
            "the study has no complete trial",
            where=table,
            found=_told(states),
            do="See why in its column message",
        )
    best = max(complete, key=lambda trial: (trial.value, -trial.number))
    figures = save_figure(_history(counted(study), recipe), folder / "history")
    if len(complete) >= LEAST_FOR_IMPORTANCE:
        figures += save_figure(_importance(study, recipe.seed), folder / "importance")
    path = folder / "best.yaml"
    write_text(path, best_recipe_text(recipe, best, study, path))
    return TuningReport(best, exact_values(best.params), dict(states), path, table, tuple(figures))


def trials_table(study: optuna.Study, recipe: Recipe) -> pd.DataFrame:
    """One row per trial that was begun: what became of it, its validation score, its values.

    The score is that of the best epoch; of a pruned trial that of its last.
    """
    trials = [one for one in study.get_trials(deepcopy=False) if state_of(one) != "surplus"]
    score = f"validation_{recipe.selection.metric}"
    keys = sorted({key for trial in trials for key in trial.params})
    return pd.DataFrame(
        [_row(trial, score, keys) for trial in trials],
        columns=["trial", "state", score, "best_epoch", "epochs", "seconds", *keys, "message"],
    ).astype({"best_epoch": "Int64", "epochs": "Int64"})


def best_recipe_text(recipe: Recipe, best: FrozenTrial, study: optuna.Study, path: Path) -> str:
    """A whole recipe whose first line is the command that runs it."""
    tuned = with_values(recipe, best.params).model_copy(update={"name": f"{recipe.name}-tuned"})
    metric, value = recipe.selection.metric, abs(best.value or 0.0)
    return (
        f"# cider train {shlex.quote(str(path))}\n"
        f"# Trial {best.number} of study {study.study_name!r}, chosen on validation: {metric} {value:.4f}.\n"
        + to_yaml(tuned.model_dump(mode="json"))
    )


def _row(trial: FrozenTrial, score: str, keys: list[str]) -> dict[str, Any]:
    values = exact_values(trial.params)
    return {
        "trial": trial.number,
        "state": state_of(trial),
        score: None if trial.value is None else abs(trial.value),
        "best_epoch": trial.user_attrs.get(BEST_EPOCH),
        "epochs": len(trial.intermediate_values),
        "seconds": None if trial.duration is None else round(trial.duration.total_seconds(), 1),
        **{key: values.get(key) for key in keys},
        "message": trial.user_attrs.get(MESSAGE),
    }


def _told(states: Counter[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "no trial"


def _history(trials: list[FrozenTrial], recipe: Recipe) -> Figure:
    """Score by trial, and the best so far."""
    from matplotlib.figure import Figure

    metric = recipe.selection.metric
    figure = Figure(figsize=(6.4, 4.1), layout="constrained")
    axes = figure.add_subplot()
    for index, (state, name) in enumerate((("complete", "complete"), ("pruned", "pruned, last epoch"))):
        shown = [one for one in trials if state_of(one) == state and one.value is not None]
        if not shown:
            continue
        style = series_style(index)
        axes.plot(
            [one.number for one in shown],
            [abs(one.value or 0.0) for one in shown],
            linestyle="none",
            color=style.colour,
            marker=style.marker,
            markersize=4.5,
            fillstyle="full" if state == "complete" else "none",
            label=name,
        )
    complete = [one for one in trials if state_of(one) == "complete"]
    so_far = pd.Series([one.value for one in complete], dtype=float).cummax().abs()
    axes.step(
        [one.number for one in complete],
        so_far,
        where="post",
        color="0.35",
        linewidth=1.4,
        label="best so far",
    )
    axes.set(
        xlabel="trial", ylabel=f"validation {metric} ({'lower' if metric == 'loss' else 'higher'} is better)"
    )
    axes.grid(axis="y", color="0.88", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _importance(study: optuna.Study, seed: int) -> Figure:
    """Share of the score's variance that each key explains over the complete trials (fANOVA)."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed))
    names = list(shares)[::-1]
    figure = Figure(figsize=(6.4, 1.2 + 0.32 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh(names, [shares[name] for name in names], color=series_style(2).colour)
    axes.bar_label(bars, labels=[f"{shares[name]:.0%}" for name in names], padding=3, fontsize="small")
    axes.set(xlabel="share of the score's variance (fANOVA)")
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1))
    axes.spines[["top", "right"]].set_visible(False)
    return figure
