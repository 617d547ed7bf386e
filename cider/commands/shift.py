from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from cider.cli_options import (
    PATH,
    RecipeName,
    choices_of,
    code_option,
    parse_seeds,
    set_option,
    sweep_options,
    tell,
)
from mer_data.cli_options import Numbers, conclude, json_option, progress_bar

if TYPE_CHECKING:
    from cider.evaluation.shift import ShiftPlan
    from cider.scoring.shift_curve import ShiftCurves


class RecipeOrRun(RecipeName):
    """A recipe, or the folder of a run; completes both in the shell."""

    name = "recipe or run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of recipes, and folders."""
        return [*super().shell_complete(ctx, param, incomplete), CompletionItem(incomplete, type="dir")]


@click.command()
@click.argument("what", nargs=-1, required=True, type=RecipeOrRun(), metavar="RECIPE...|RUN...")
@set_option("Override a key of the recipes.")
@click.option("--seeds", metavar="N,N,...", help="Training seeds; default: each recipe's.")
@click.option(
    "--series",
    metavar="NAME",
    help="Series of splits, as ood_binary_seed0, or a folder of them; default: the only one.",
)
@click.option(
    "--severities", type=Numbers(float), metavar="S,S,...", help="Those of the series to take; default: all."
)
@sweep_options
@click.option(
    "--out",
    type=PATH,
    default=Path("runs/shift"),
    show_default=True,
    help="Folder of the runs that are trained, and of the report.",
)
@click.option("--report-only", is_flag=True, help="Report the predictions that are saved; trains nothing.")
@click.option("--force", is_flag=True, help="Train (RECIPEs) and predict again from the beginning.")
@code_option
@json_option
def shift(
    what: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: str | None,
    series: str | None,
    severities: tuple[float, ...] | None,
    out: Path,
    report_only: bool,
    force: bool,
    as_json: bool,
    **sweep: Any,
) -> None:
    """Draw scores against the severity of distribution shift, with their area.

    RECIPEs are trained once per severity and seed on a series of splits (mer-data repartition --series);
    finished runs are kept, others resumed, and what the splits lack in statistics is computed. RUNs are taken
    as they are. All are evaluated over missing rates, and reported on one page with the grid of severity and
    missing rate. Several recipes are drawn together, the first is what the others are compared with.

    \b
    Examples:
      cider shift sample
      cider shift sample --seeds 1111,1112 --severities 0,0.5,1
      cider shift sample --set model.maci=none --set name=plain
      cider shift runs/shift/*/sample-seed* runs/shift/*/plain-seed*
      cider shift sample --report-only --rates 0,0.5,1
    """
    from cider.evaluation.shift import measure_shift

    choices = choices_of(**sweep)
    given = {"--set": overrides, "--seeds": seeds, "--series": series, "--severities": severities}
    if any(Path(name).is_dir() for name in what):
        _only_runs(what, [name for name, value in given.items() if value])
        paths = [Path(name) for name in what]
    else:
        plan = _plan(what, overrides, seeds, series, severities, out)
        plan.check_sweep(choices)
        if not report_only:
            with progress_bar() as progress, progress_bar("statistics") as statistics:
                plan.train(tell, force=force, progress=progress, inputs_progress=statistics)
        paths = plan.folders
    with progress_bar("evaluate") as progress:
        result = measure_shift(
            paths, choices, parent=out, report_only=report_only, force=force, progress=progress
        )
    conclude(
        {"report": str(result.report), **result.curves.to_json()},
        [*_lines(result.curves), "", f"Report: {result.report / 'summary.html'}"],
        None,
        as_json=as_json,
    )


def _only_runs(what: tuple[str, ...], options: list[str]) -> None:
    """Refuse recipes and their options beside runs."""
    from mer_data.errors import RunError

    others = [name for name in what if not Path(name).is_dir()]
    if others:
        raise RunError(
            f"{', '.join(others)} stands beside runs, and is no folder of a run",
            do="Name either recipes, which are trained, or runs",
        )
    if options:
        raise RunError(
            f"{', '.join(options)} does not go with runs, which are trained already",
            do="Leave it out, or name recipes",
        )


def _plan(
    names: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: str | None,
    series: str | None,
    severities: tuple[float, ...] | None,
    out: Path,
) -> ShiftPlan:
    from cider.evaluation.shift import ShiftPlan
    from cider.recipe.schema import find_recipe, load_recipe

    return ShiftPlan.from_recipes(
        [load_recipe(find_recipe(name), overrides) for name in names],
        out,
        seeds=None if seeds is None else parse_seeds(seeds),
        series=series,
        severities=severities,
    )


def _lines(curves: ShiftCurves) -> list[str]:
    """The curves for a terminal."""
    from cider.reports.shift_tables import curve_table, shown_metrics, shown_unit
    from cider.reports.tables import METRIC_TITLES

    lines = [
        "Strict test scores in percent: mean ± standard deviation over training seeds"
        f"{', and difference to the first recipe' if len(curves.groups) > 1 else ''} [95 % intervals over"
        f" {shown_unit(curves)}]."
    ]
    for name in shown_metrics(curves):
        lines += ["", METRIC_TITLES[name], curve_table(curves, name).to_string(index=False)]
    return lines
