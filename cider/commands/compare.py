from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cider.cli_options import (
    PATH,
    choices_of,
    code_option,
    runs_argument,
    sweep_options,
    target_of,
    target_options,
)
from mer_data.cli_options import conclude, force_option, json_option


@click.command()
@runs_argument
@sweep_options
@target_options
@click.option("--out", type=PATH, help="Also write a page (Markdown, HTML) to this folder.")
@code_option
@force_option
@json_option
def compare(
    runs: tuple[Path, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
    on_dataset: str | None,
    on_alignment: str | None,
    on_split: str | None,
    **sweep: Any,
) -> None:
    """Compare evaluated RUNS on the same test utterances, with intervals and significance.

    Runs of one recipe that differ in the seed only are taken together: mean and standard deviation over them.
    Everything is compared with the recipe of the first run. Only saved predictions are read.

    \b
    Examples:
      cider compare runs/sample-seed1111 runs/plain
      cider compare runs/mosi-seed111* runs/plain-seed111* --out comparisons/maci
      cider compare runs/mosi-seed1111 runs/plain-seed1111 --on mosei --on-split casp
    """
    from cider.evaluation.evaluate import compare_evaluated
    from cider.reports.compare import comparison_table, shown_metrics, write_comparison
    from mer_data.errors import RunError
    from mer_data.files.writing import refuse_overwrite

    if out is not None:
        refuse_overwrite(out, force=force, error=RunError)
    comparison = compare_evaluated(
        runs, choices_of(**sweep), on=target_of(on_dataset, on_alignment, on_split)
    )
    lines = [
        "Strict test scores in percent: mean ± standard deviation over runs, and difference to the first"
        " recipe [95 % intervals]; p of McNemar's test (* below 0.05)."
    ]
    for name in shown_metrics(comparison):
        lines += ["", comparison_table(comparison, name).to_string(index=False)]
    if out is not None:
        lines += ["", f"Report: {write_comparison(out, comparison)[-1]}"]
    conclude(comparison.to_json(), lines, None, as_json=as_json)
