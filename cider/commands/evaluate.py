from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cider.cli_options import (
    choices_of,
    code_again,
    code_option,
    runs_argument,
    sweep_options,
    target_of,
    target_options,
)
from mer_data.cli_options import conclude, json_option, progress_bar, repeated

if TYPE_CHECKING:
    from cider.evaluation.evaluate import Evaluation


@click.command()
@runs_argument
@sweep_options
@target_options
@click.option(
    "--report-only", is_flag=True, help="Report the predictions that are saved; needs neither model nor data."
)
@click.option("--force", is_flag=True, help="Predict again what is predicted already.")
@code_option
@json_option
def evaluate(
    runs: tuple[Path, ...],
    report_only: bool,
    force: bool,
    as_json: bool,
    on_dataset: str | None,
    on_alignment: str | None,
    on_split: str | None,
    **sweep: Any,
) -> None:
    """Measure trained RUNS on validation and test over missing rates, and write a report for each.

    Predictions are saved per rate: what is interrupted goes on where it stopped. Each report has two
    protocols side by side: strict (tau from validation, class means from training) and paper (both from the
    test labels). With several seeds of one recipe the mean and spread over them are printed too.

    With --on the test fold is another corpus's, with the same feature columns. tau is still chosen on the
    run's own validation fold.

    \b
    Examples:
      cider evaluate runs/sample-seed1111
      cider evaluate runs/sample-seed1111 --mask-seeds 0,1,2 --rates 0,0.5,1
      cider evaluate runs/sample-seed1111 --pattern smm
      cider evaluate runs/sample-seed1111 --report-only --debiasing log
      cider evaluate runs/mosi-seed1111 --on mosei --on-alignment casp_aligned --on-split casp
    """
    from cider.evaluation.evaluate import evaluate_run
    from cider.recipe.schema import seeds_of_one_recipe
    from cider.reports.tables import seeds_spread, seeds_table
    from cider.runs.state import refuse_twice
    from cider.scoring.protocols import without_nan

    choices, on = choices_of(**sweep), target_of(on_dataset, on_alignment, on_split)
    refuse_twice(runs)
    done = []
    for path in runs:
        with progress_bar(f"evaluate {path.name}") as progress:
            done.append(
                evaluate_run(path, choices, on=on, report_only=report_only, force=force, progress=progress)
            )
    lines = [line for result in done for line in _told(result)]
    all_scores = [result.scores for result in done]
    spread = None
    if len(done) > 1 and seeds_of_one_recipe([result.recipe for result in done]):
        lines += [f"Mean and standard deviation over {len(done)} runs:"]
        lines += [seeds_table(all_scores).to_string(index=False)]
        spread = seeds_spread(all_scores)
    same = repeated(**{"on": on_dataset, "on-alignment": on_alignment, "on-split": on_split})
    conclude(
        {
            "runs": [
                {"run": str(one.run), "report": str(one.report), **one.measured.to_json()} for one in done
            ],
            "mean_and_std": without_nan(spread),
        },
        lines,
        f"cider compare {' '.join(str(path) for path in runs)}{same}{code_again()}"
        if len(runs) > 1
        else None,
        as_json=as_json,
    )


def _told(result: Evaluation) -> list[str]:
    """The scores of one run for a terminal."""
    from cider.reports.tables import METRIC_TITLES, headline, protocol_table, sweep_table
    from cider.scoring.prediction_frame import told_target

    scores = result.scores
    name = headline(scores)[0]
    return [
        f"{result.run}{f', {told_target(target)}' if (target := result.target) else ''}: tau {scores.tau}",
        sweep_table(scores.strict).to_string(index=False),
        f"{METRIC_TITLES[name]} by both protocols, of which paper chooses on the test labels:",
        protocol_table(scores, name).to_string(index=False),
        f"Report: {result.report / 'summary.html'}",
        "",
    ]
