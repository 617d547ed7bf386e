from __future__ import annotations

import sys
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mer_data.commands.shared import conclude, force_option, json_option


class RecipeName(click.ParamType):
    """A recipe file or the name of a packaged one; completes in the shell."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        import cider
        from mer_data.resources import resource_folder

        names = [path.stem for path in resource_folder(cider.__file__, "recipes").glob("*.yaml")]
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command()
@click.argument("recipe", type=RecipeName())
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as model.layers=3."
)
@click.option("--seed", type=int, help="Seed of weights, order, masks and dropout; default: the recipe's.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; default: runs/NAME-seedSEED.")
@force_option
@json_option
def train(
    recipe: str, overrides: tuple[str, ...], seed: int | None, out: Path | None, force: bool, as_json: bool
) -> None:
    """Train CIDer by RECIPE, a YAML file or the name of a packaged recipe.

    \b
    Examples:
      cider train sample
      cider train recipes/mosi_iid_binary_minilm.yaml --seed 1112
      cider train sample --set model.maci=none --out runs/plain
    """
    from tqdm import tqdm

    from cider.experiment import Experiment
    from cider.recipe import find_recipe, load_recipe
    from cider.run_folder import RunFolder
    from cider.training import Trainer
    from mer_data.errors import RunError
    from mer_data.files import refuse_overwrite

    extra = () if seed is None else (f"seed={seed}",)
    resolved = load_recipe(find_recipe(recipe), (*overrides, *extra))
    folder = out or Path("runs") / f"{resolved.name}-seed{resolved.seed}"
    refuse_overwrite(folder, force=force, error=RunError)
    experiment = Experiment.open(resolved)
    run = RunFolder(folder)
    trainer = Trainer(experiment, run)
    run.start(experiment, replace=force)
    with tqdm(disable=not sys.stderr.isatty(), file=sys.stderr, leave=False) as bar:

        def progress(step: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_description(text, refresh=False)
            bar.update(step - bar.n)

        result = trainer.fit(progress)
    conclude(
        {"run": str(folder), **vars(result)},
        [
            f"Stopped after {result.epochs} epochs ({result.reason}); kept epoch {result.best_epoch} with"
            f" validation {resolved.selection.metric} {abs(result.best_score):.4f} in {folder}."
        ],
        f"cider evaluate {folder}",
        as_json=as_json,
    )
