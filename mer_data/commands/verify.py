from __future__ import annotations

import json
from pathlib import Path

import click

from mer_data.cli_options import json_option, progress_bar


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--make-again",
    is_flag=True,
    help="Repeat the search of every split, compute all statistics again, and compare.",
)
@json_option
@click.pass_context
def verify(context: click.Context, path: Path, make_again: bool, as_json: bool) -> None:
    """Check the files at PATH: every checksum, every utterance, and the digests between files.

    PATH is a store, a split manifest, a statistics file, a vocabulary (JSON), the folder of a dataset, or
    the workspace. The exit code is 1 when there is an error.

    \b
    Examples:
      mer-data verify data
      mer-data verify data/mosi/store/unaligned.h5
      mer-data verify data/mosi/splits/ood_binary_seed0.json --make-again
    """
    from mer_data.verify import verify as check

    with progress_bar("verify") as progress:
        result = check(path, progress, make_again=make_again)
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in result.findings], indent=2))
    else:
        click.echo("\n".join(result.lines))
    context.exit(1 if result.num("error") else 0)
