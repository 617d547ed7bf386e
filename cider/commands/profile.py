from __future__ import annotations

import sys

import click

from cider.cli_options import RecipeName, code_option, set_option, tell
from mer_data.cli_options import conclude, json_option


@click.command()
@click.argument("recipe", type=RecipeName())
@set_option("Override a key, such as model.layers=3.")
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
    from cider.recipe.schema import find_recipe, load_recipe

    resolved = load_recipe(find_recipe(recipe), overrides)
    from cider.profiling import profile_recipe  # imports torch: a wrong recipe is told before that

    if sys.stderr.isatty():
        tell(f"Training {2 * steps + 1} steps of {resolved.name} ...")
    result = profile_recipe(resolved, steps)
    conclude(result.to_json(), result.lines(), None, as_json=as_json)
