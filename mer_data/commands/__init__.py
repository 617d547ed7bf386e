"""The command line ``mer-data``: one small file per verb; each parses, calls and prints."""

from __future__ import annotations

import click

from mer_data.cli_options import OneLineErrors
from mer_data.commands.bias_model import bias_model
from mer_data.commands.build import build
from mer_data.commands.cite import cite
from mer_data.commands.counterfactual_vocab import counterfactual_vocab
from mer_data.commands.download import download
from mer_data.commands.export import export
from mer_data.commands.import_ import import_
from mer_data.commands.inspect import inspect
from mer_data.commands.new_source import new_source
from mer_data.commands.repartition import repartition
from mer_data.commands.report import report
from mer_data.commands.sample import sample
from mer_data.commands.sources import sources
from mer_data.commands.standard_split import standard_split
from mer_data.commands.statistics import statistics
from mer_data.commands.verify import verify
from mer_data.torch_data.threads import wait_briefly
from mer_data.version import __version__


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mer-data")
def main() -> None:
    """Prepare CMU-MOSI and CMU-MOSEI: stores, out-of-distribution splits, statistics.

    Files live under MER_DATA_HOME (default ./data). The usual way:

    \b
      mer-data sample                      (or mer-data download mosi)
      mer-data build --dataset sample
      mer-data repartition --dataset sample --task binary
      mer-data statistics
      mer-data counterfactual-vocab
      cider train sample
    """
    wait_briefly()


_COMMANDS = (
    sources,
    cite,
    sample,
    download,
    import_,
    new_source,
    build,
    standard_split,
    repartition,
    statistics,
    counterfactual_vocab,
    bias_model,
    export,
    report,
    verify,
    inspect,
)
for command in _COMMANDS:
    main.add_command(command)
