from __future__ import annotations

from pathlib import Path

import click

from mer_data.commands.shared import conclude, json_option, progress_bar


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--pattern",
    type=click.Choice(["rmfm", "rmfm_same", "rmm", "tmfm", "stmfm"]),
    help="Missing pattern; default: the recipe's.",
)
@click.option("--rates", metavar="R,R,...", help="Missing rates, rising; default: the recipe's, 0.0 to 1.0.")
@click.option("--mask-seed", type=int, help="Seed of the masks; default: the recipe's.")
@json_option
def evaluate(
    runs: tuple[Path, ...], pattern: str | None, rates: str | None, mask_seed: int | None, as_json: bool
) -> None:
    """Measure trained RUNS on validation and test over missing rates, and write a report for each.

    With several runs (seeds of one recipe) the mean and spread over them are printed too.

    \b
    Examples:
      cider evaluate runs/sample-seed1111
      cider evaluate runs/mosi-seed1111 runs/mosi-seed1112 --rates 0,0.5
    """
    from cider.evaluation.report import seeds_spread, seeds_table, sweep_table
    from cider.evaluation.run import evaluate_run, parse_rates
    from cider.evaluation.sweep import without_nan

    chosen = None if rates is None else parse_rates(rates)
    done = []
    for path in runs:
        with progress_bar(f"evaluate {path.name}") as progress:
            done.append(
                evaluate_run(path, pattern=pattern, rates=chosen, mask_seed=mask_seed, progress=progress)
            )
    lines = []
    for result in done:
        table = sweep_table(result.scores, result.scores.final)
        lines += [f"{result.run}: tau {result.scores.tau}", table.to_string(index=False)]
        lines += [f"Report: {result.report / 'summary.html'}", ""]
    if len(done) > 1:
        lines += [f"Mean and standard deviation over {len(done)} runs:"]
        lines += [seeds_table([result.scores for result in done]).to_string(index=False)]
    spread = seeds_spread([result.scores for result in done]) if len(done) > 1 else None
    conclude(
        {
            "runs": [{"run": str(r.run), "report": str(r.report), **r.scores.to_json()} for r in done],
            "mean_and_std": without_nan(spread),
        },
        lines,
        None,
        as_json=as_json,
    )
