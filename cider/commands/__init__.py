"""The command line ``cider``: one small file per verb; each parses, calls and prints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cider.commands.compare import compare
from cider.commands.evaluate import evaluate
from cider.commands.figure import figure
from cider.commands.predict import predict
from cider.commands.profile import profile
from cider.commands.reproduce import reproduce
from cider.commands.shift import shift
from cider.commands.train import train
from cider.commands.tune import tune
from cider.commands.verify import verify
from mer_data.cli_options import OneLineErrors
from mer_data.torch_data.threads import wait_briefly
from mer_data.version import __version__


class _Echo(logging.Handler):
    """Prints a record as a line on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        click.echo(self.format(record), err=True)


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Print what the library warns of while a command runs, whatever else listens to the logs."""
    logger, handler = logging.getLogger("cider"), _Echo(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cider")
@click.pass_context
def main(context: click.Context) -> None:
    """Train CIDer and measure it over missing rates.

    \b
      cider train sample
      cider evaluate runs/sample-seed1111
      cider compare runs/sample-seed1111 runs/sample-seed1112
      cider predict runs/sample-seed1111 --store data/sample/store/unaligned.h5
    """
    wait_briefly()
    context.with_resource(warnings_on_stderr())


for command in (train, evaluate, compare, shift, reproduce, predict, figure, profile, tune, verify):
    main.add_command(command)
