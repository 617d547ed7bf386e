from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from mer_data.cli_options import DatasetName, conclude, output_options, progress_bar, repeated

if TYPE_CHECKING:
    from mer_data.importing import Imported


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dataset", type=DatasetName(), help="The corpus, where the content does not tell it.")
@click.option(
    "--kind",
    type=click.Choice(["standard", "ood", "cross_dataset"]),
    help="Kind of the split in a processed file; default: as recognised.",
)
@click.option(
    "--task", type=click.Choice(["binary", "seven"]), help="Task that the split was made for; default: any."
)
@click.option("--name", metavar="NAME", help="Name of the store and the split; default: the publication's.")
@click.option("--tokenizer", metavar="NAME", help="As for `mer-data build`.")
@click.option("--link", is_flag=True, help="Link to source files instead of copying them.")
@output_options
@click.pass_context
def import_(
    context: click.Context,
    path: Path,
    dataset: str | None,
    kind: str | None,
    task: str | None,
    name: str | None,
    tokenizer: str | None,
    link: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Take in files that came by hand: PATH is one, or a folder of them. Names do not matter, content does.

    Source files (.csd, transcripts, folds) go to the raw folder under the names that a download gives them,
    verified. Processed files (pickles of MMSA, CIDer, CASP, ...) become a store and a split manifest.
    A source file that is damaged does not keep the others out; the exit code is then 1.

    \b
    Examples:
      mer-data import ~/Downloads
      mer-data import data/mosi/raw
      mer-data import MOSI_unaligned_50.pkl --task binary
      mer-data import ~/corpora/mosei --link
    """
    from mer_data.importing import ImportOptions, import_path
    from mer_data.splits.manifest import SplitKind

    options = ImportOptions(
        dataset=dataset,
        kind=cast(SplitKind | None, kind),
        task=cast(Literal["binary", "seven"] | None, task),
        name=name,
        tokenizer=tokenizer,
        link=link,
        force=force,
    )
    with progress_bar("import") as progress:
        report = import_path(path, options, progress)
    conclude(
        {
            "imported": [_as_json(item) for item in report.imported],
            "failed": {str(file): reason for file, reason in report.failed.items()},
            "not_recognised": {str(other): reason for other, reason in report.others.items()},
        },
        [
            *(line for item in report.imported for line in _lines(item)),
            *(f"{other}: not recognised. {reason}" for other, reason in report.others.items()),
            *(f"{file}: NOT imported. {reason}" for file, reason in report.failed.items()),
        ],
        _next_step(report.imported[-1]) if report.imported else None,
        as_json=as_json,
    )
    context.exit(1 if report.failed else 0)


def _as_json(item: Imported) -> dict[str, Any]:
    values = {key: str(value) if isinstance(value, Path) else value for key, value in vars(item).items()}
    return values | {"dropped": [vars(drop) for drop in item.dropped]}


def _lines(item: Imported) -> list[str]:
    """Describe the outcome for one file, and what its build changed."""
    made = " and ".join(str(path) for path in (item.target, item.split) if path)
    state = "there before as" if item.state == "present" else "now"
    return [
        f"{item.path}: {item.what} of {item.dataset}, {state} {made}",
        *(f"  {name.replace('_', ' ')}: {count}" for name, count in item.changed.items()),
        *(f"  dropped {drop.id}: {drop.reason}" for drop in item.dropped),
    ]


def _next_step(last: Imported) -> str:
    if last.split is None:
        return f"mer-data build --dataset {last.dataset}"
    return "mer-data statistics" + repeated(
        dataset=last.dataset, alignment=last.target.stem, split=last.split.stem
    )
