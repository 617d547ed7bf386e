from __future__ import annotations

import click

from mer_data.cli_options import SEED, conclude, output_options


@click.command()
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the generator; equal seeds, equal corpus.",
)
@output_options
def sample(seed: int, force: bool, as_json: bool) -> None:
    """Write a small generated corpus as real .csd files, to try everything without a download.

    \b
    Example:
      mer-data sample
    """
    from mer_data.errors import SourceError
    from mer_data.files.writing import refuse_overwrite
    from mer_data.sources.sample import write_sample
    from mer_data.workspace import Workspace

    folder = Workspace("sample").raw
    refuse_overwrite(folder / "sample_labels.csd", force=force, error=SourceError, option=None)
    paths = write_sample(folder, seed)
    conclude(
        {"files": [str(path) for path in paths], "seed": seed},
        [f"Wrote {len(paths)} files to {folder}."],
        "mer-data build --dataset sample",
        as_json=as_json,
    )
