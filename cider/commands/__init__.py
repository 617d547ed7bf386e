"""The command line ``cider``: one small file per verb; each parses, calls and prints."""

from __future__ import annotations

import click

import mer_data
from cider.commands.evaluate import evaluate
from cider.commands.train import train
from mer_data.commands.shared import OneLineErrors


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mer_data.__version__, prog_name="cider")
def main() -> None:
    """Train CIDer and measure it over missing rates.

    \b
      cider train sample
      cider evaluate runs/sample-seed1111
    """


for command in (train, evaluate):
    main.add_command(command)
