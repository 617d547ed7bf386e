from __future__ import annotations

import sys

import click

from cider.cli_options import code_option
from cider.commands.train import RecipeName
from mer_data.cli_options import conclude, json_option


@click.command()
@click.argument("recipe", type=RecipeName())
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as model.layers=3."
)
@click.option("--steps", default=10, show_default=True, type=click.IntRange(min=1), help="Steps to time.")
@code_option
@json_option
def profile(recipe: str, overrides: tuple[str, ...], steps: int, as_json: bool) -> None:
    """Measure what training by RECIPE costs on this machine: parameters, memory, seconds, and where they go.

    Trains a few steps in a process of its own, once plainly and once with every part timed, and predicts the
    validation fold as often as an epoch does. Nothing is kept. The row of paper Table VI stands beside.

    \b
    Examples:
      cider profile sample
      cider profile mosi_iid_binary_minilm --steps 5
      cider profile sample --set model.layers=3 --json
    """
    from cider.profiling import profile_recipe
    from cider.recipe.schema import find_recipe, load_recipe

    resolved = load_recipe(find_recipe(recipe), overrides)
    if sys.stderr.isatty():
        click.echo(f"Training {2 * steps + 1} steps of {resolved.name} ...", err=True)
    result = profile_recipe(resolved, steps)
    conclude(result.to_json(), result.lines(), None, as_json=as_json)
