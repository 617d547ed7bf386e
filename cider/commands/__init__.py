"""The command line ``cider``: one small file per verb; each parses, calls and prints."""

from __future__ import annotations

import click

import mer_data
from cider.commands.compare import compare
from cider.commands.evaluate import evaluate
from cider.commands.figure import figure
from cider.commands.predict import predict
from cider.commands.profile import profile
from cider.commands.reproduce import reproduce
from cider.commands.shift import shift
from cider.commands.train import train
from cider.commands.tune import tune
from mer_data.commands.shared import OneLineErrors
from mer_data.waiting import wait_briefly


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mer_data.__version__, prog_name="cider")
def main() -> None:
    """Train CIDer and measure it over missing rates.

    \b
      cider train sample
      cider evaluate runs/sample-seed1111
      cider compare runs/sample-seed1111 runs/sample-seed1112
      cider predict runs/sample-seed1111 --store data/sample/store/unaligned.h5
    """
    wait_briefly()


for command in (train, evaluate, compare, shift, reproduce, predict, figure, profile, tune):
    main.add_command(command)
