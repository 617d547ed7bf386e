from __future__ import annotations

from pathlib import Path

import click

from mer_data.cli_options import conclude, output_options


@click.command("new-source")
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Folder of the corpus's .csd files: their roots are filled in.",
)
@output_options
def new_source(name: str, folder: Path | None, force: bool, as_json: bool) -> None:
    """Write a commented source manifest for a corpus of your own, which then builds as the others do.

    \b
    Examples:
      mer-data new-source pom
      mer-data new-source sims --folder ~/corpora/sims
    """
    from mer_data.sources.new_source import write_new_source
    from mer_data.workspace import Workspace

    path, found = write_new_source(name, folder, force=force)
    conclude(
        {"manifest": str(path), "raw": str(Workspace(name).raw), "found": [vars(known) for known in found]},
        [
            f"Wrote {path}: edit it, and put the files and the folds into {Workspace(name).raw}.",
            *(
                f"  {known.file}: root {known.root!r}, {known.role or 'role unknown'}, {known.about}"
                for known in found
            ),
        ],
        f"mer-data build --dataset {name}",
        as_json=as_json,
    )
