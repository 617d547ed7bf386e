from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from cider.cli_options import PATH, parse_seeds, set_option, tell
from mer_data.cli_options import DatasetName, conclude, json_option, progress_bar

if TYPE_CHECKING:
    from cider.paper.report import ReproducedTable
    from cider.paper.run import Survey
    from mer_data.tasks import TaskName


class TableName(click.ParamType):
    """A table file or the name of a packaged one; completes in the shell."""

    name = "table"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from cider.paper.tables import known_tables

        return [CompletionItem(name) for name in known_tables() if name.startswith(incomplete)]


@click.command()
@click.argument("table", type=TableName())
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=DatasetName(),
    help="Only columns that train and test on it; may be given twice. Default: all columns.",
)
@click.option(
    "--task", type=click.Choice(["binary", "seven"]), help="Only columns of this task; default: both."
)
@click.option("--rows", metavar="ROW,ROW,...", help="Rows of ours to run; default: all that have runs.")
@click.option(
    "--floors",
    is_flag=True,
    help="Also rows of a text-only and an early-fusion model, with and without MACI.",
)
@click.option("--seeds", default="1111,1112,1113", show_default=True, help="Training seeds.")
@set_option("Override a key of every run, such as model.text_encoder=minilm; it becomes part of their names.")
@click.option(
    "--out",
    default="runs",
    show_default=True,
    type=PATH,
    help="Folder of the runs. The page goes to reports/TABLE.",
)
@click.option("--report-only", is_flag=True, help="From runs and predictions that are there; train nothing.")
@click.option("--dry-run", is_flag=True, help="List runs and missing inputs; train and write nothing.")
@json_option
def reproduce(
    table: str,
    datasets: tuple[str, ...],
    task: TaskName | None,
    rows: str | None,
    floors: bool,
    seeds: str,
    overrides: tuple[str, ...],
    out: Path,
    report_only: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run what is missing of a published TABLE (table4 to table22), and put our numbers beside it.

    Runs that are finished are used, others are resumed or trained; so are predictions. Prints the paper's
    row, ours by both protocols and the differences, and writes a page to reports/TABLE. Methods that we do
    not implement are shown as published.

    \b
    Examples:
      cider reproduce table4 --dataset mosi --dry-run
      cider reproduce table4 --dataset mosi --set model.text_encoder=minilm
      cider reproduce table5 --dataset mosi --task binary --seeds 1111
      cider reproduce table4 --dataset mosi --rows CIDer --floors
      cider reproduce table5 --rows "CIDer,without MCM" --seeds 1111
      cider reproduce table13 --report-only --json
    """
    from cider.paper.plan import make_plan
    from cider.paper.report import ReproducedTable, report_folder
    from cider.paper.run import Watch, survey
    from cider.paper.run import reproduce as carry_out
    from cider.paper.tables import find_table

    plan = make_plan(
        find_table(table),
        datasets=datasets,
        task=task,
        rows=[] if rows is None else [row.strip() for row in rows.split(",")],
        floors=floors,
        overrides=overrides,
        seeds=parse_seeds(seeds),
    )
    if dry_run:
        _tell_survey(survey(plan, out), as_json=as_json)
        return
    with progress_bar() as epochs, progress_bar("predict") as predictions:
        watch = Watch(tell, epochs, predictions)
        found = carry_out(plan, out, watch, report_only=report_only)
    result = ReproducedTable(plan, found, out)
    *_, page = result.write(report_folder(plan))
    conclude(result.to_json(), [*_lines(result), f"Report: {page}"], None, as_json=as_json)


def _lines(result: ReproducedTable) -> list[str]:
    """The tables for a terminal."""
    lines = [result.title, "", *result.intro()]
    for shown in result.tables:
        lines += ["", shown.caption, shown.frame.to_string(index=False)]
    return [*lines, "", "Notes:", *(f"- {note}" for note in result.notes())]


def _tell_survey(found: Survey, *, as_json: bool) -> None:
    states = [run.state for run in found.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("finished", "to resume", "missing"))
    lines = [f"Training runs: {counts}."]
    lines += [f"  {run.state:9}  {run.folder}" for run in found.runs]
    lines += [
        f"  {'measured' if there else 'missing':9}  cost of training {name}"
        for name, there in found.costs.items()
    ]
    lines += [f"Missing inputs: {len(found.missing)}.", *(f"  {line}" for line in found.missing)]
    conclude(
        {
            "runs": [{**vars(run), "folder": str(run.folder)} for run in found.runs],
            "costs_measured": found.costs,
            "missing_inputs": list(found.missing),
        },
        lines,
        None,
        as_json=as_json,
    )
