from __future__ import annotations

from pathlib import Path

import click

from cider.cli_options import code_option, runs_argument
from mer_data.cli_options import conclude, json_option


@click.command()
@runs_argument
@code_option
@json_option
def verify(runs: tuple[Path, ...], as_json: bool) -> None:
    """Check that the files of RUNS are as they were written: weights, result, log, predictions, checkpoints.

    Also says whether the store, split, statistics and vocabulary of a run are in the workspace. Exit code 1
    where anything is damaged, missing or was changed.

    \b
    Examples:
      cider verify runs/sample-seed1111
      cider verify runs/* --json
    """
    from cider.runs.verify import verify_run

    checks = [verify_run(path) for path in runs]
    lines = []
    for check in checks:
        lines.append(
            f"{check.run}: {check.state}; {len(check.checked)} files and tables are whole,"
            f" {len(check.problems)} are not."
        )
        lines += [f"  Error: {line}" for line in check.problems]
        lines += [f"  Note: {line.removesuffix('.')}." for line in check.notes]
    conclude({"runs": [check.to_json() for check in checks]}, lines, None, as_json=as_json)
    if any(check.problems for check in checks):
        raise click.exceptions.Exit(1)
