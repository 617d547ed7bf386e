from __future__ import annotations

import click

from mer_data.cli_options import DatasetName, conclude, json_option


@click.command()
@click.argument("dataset", type=DatasetName())
@click.option(
    "--also",
    multiple=True,
    metavar="NAME",
    help="Cite a collection of files too (`mer-data sources DATASET` lists them), or all.",
)
@json_option
def cite(dataset: str, also: tuple[str, ...], as_json: bool) -> None:
    """Print the BibTeX of a dataset.

    \b
    Examples:
      mer-data cite mosi
      mer-data cite mosei --also cider_ood
      mer-data cite mosi --also all
    """
    from mer_data.sources.listing import citations

    found = citations(dataset, also)
    conclude({"dataset": dataset, "bibtex": found}, ["\n\n".join(found)], None, as_json=as_json)
