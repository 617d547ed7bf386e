from __future__ import annotations

from pathlib import Path

import click

from mer_data.cli_options import conclude, json_option


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--utterance", metavar="ID", help="Show one utterance of a store, with its words on a time line."
)
@json_option
def inspect(path: Path, utterance: str | None, as_json: bool) -> None:
    """Show what a store, a split manifest, a statistics file or a vocabulary (JSON) holds.

    \b
    Examples:
      mer-data inspect data/mosi/store/unaligned.h5
      mer-data inspect data/sample/store/unaligned.h5 --utterance 'sample000$_$3'
      mer-data inspect data/mosi/splits/ood_binary_seed0.json
    """
    from mer_data.inspect import describe, summarise, summarise_utterance

    summary = summarise(path) if utterance is None else summarise_utterance(path, utterance)
    conclude(summary, describe(summary), None, as_json=as_json)
