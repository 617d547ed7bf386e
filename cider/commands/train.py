from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from cider.cli_options import code_again, code_option, parse_seeds
from mer_data.cli_options import conclude, force_option, json_option

if TYPE_CHECKING:
    from cider.recipe.schema import Recipe
    from cider.training.many_runs import RunOutcome
    from cider.training.trainer import Progress


class RecipeName(click.ParamType):
    """A recipe file or the name of a packaged one; completes in the shell."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from mer_data.files.resources import resource_folder

        names = [
            path.stem
            for path in resource_folder(Path(__file__).resolve().parents[1], "recipes").glob("*.yaml")
        ]
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


@click.command()
@click.argument("recipe", type=RecipeName(), required=False)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, such as model.layers=3."
)
@click.option("--seed", type=int, help="Seed of weights, order, masks and dropout; default: the recipe's.")
@click.option("--seeds", metavar="N,N,...", help="One run per seed; finished ones are kept, others resumed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder; default: runs/NAME-seedSEED. With --seeds the folder of the runs.",
)
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Continue a run that was stopped."
)
@code_option
@force_option
@json_option
def train(
    recipe: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    seeds: str | None,
    out: Path | None,
    resume: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Train CIDer by RECIPE, a YAML file or the name of a packaged recipe.

    A training that was stopped, even by kill -9, continues with --resume after its last complete epoch and
    gives the same result. Several processes train one model when a launcher starts this command.

    \b
    Examples:
      cider train sample
      cider train recipes/mosi_iid_binary_minilm.yaml --seed 1112
      cider train sample --set model.maci=none --out runs/plain
      cider train sample --seeds 1111,1112,1113
      cider train --resume runs/sample-seed1111
      torchrun --nproc_per_node 2 -m cider train sample
    """
    given = {"RECIPE": recipe, "--seed": seed, "--seeds": seeds, "--out": out, "--force": force or None}
    names = [name for name, value in given.items() if value is not None]
    _refuse_contradictions(names, overrides, resume)

    from cider.training.distributed import Processes, StoppedElsewhereError
    from cider.training.many_runs import resume_run, run_folder, train_run, train_seeds

    processes = Processes.launched()

    def tell(line: str) -> None:
        if processes.is_main:
            click.echo(line, err=True)

    try:
        with epoch_bar(quiet=not processes.is_main) as progress:
            if resume is not None:
                runs = [resume_run(resume, tell, progress=progress)]
                if runs[0].warning is not None:
                    tell(runs[0].warning)
            else:
                with processes.fail_together():
                    recipes = _recipes(str(recipe), overrides, seed, seeds)
                if seeds is None:
                    folder = out or run_folder(recipes[0])
                    runs = [train_run(recipes[0], folder, tell, force=force, progress=progress)]
                else:
                    parent = out or Path("runs")
                    runs = train_seeds(recipes, parent, tell, force=force, progress=progress)
    except StoppedElsewhereError as error:
        raise click.exceptions.Exit(1) from error
    processes.close()
    if processes.is_main:
        _conclude(runs, several=seeds is not None, as_json=as_json)


def _refuse_contradictions(names: list[str], overrides: tuple[str, ...], resume: Path | None) -> None:
    """Options that do not go together are told before anything heavy is loaded."""
    from mer_data.errors import RunError

    if resume is not None:
        names = names + ["--set"] * bool(overrides)
        if names:
            raise RunError(
                f"--resume does not go with {', '.join(names)}: a run continues with the recipe, seed and"
                " folder that it was started with",
                do="Leave them out, or train again without --resume",
            )
        return
    if "RECIPE" not in names:
        raise RunError(
            "nothing to train", expected="a RECIPE, or --resume RUN", do="See `cider train --help`"
        )
    overridden = any(one.partition("=")[0] == "seed" for one in overrides)
    if "--seeds" in names and ("--seed" in names or overridden):
        raise RunError("--seeds does not go with another seed", do="Name all seeds in --seeds")


def _recipes(name: str, overrides: tuple[str, ...], seed: int | None, seeds: str | None) -> list[Recipe]:
    """The resolved recipe, once for every seed."""
    from cider.recipe.schema import find_recipe, load_recipe

    path = find_recipe(name)
    chosen: Sequence[int | None] = [seed] if seeds is None else parse_seeds(seeds)
    return [
        load_recipe(
            path,
            overrides if one is None else (*overrides, f"seed={one}"),
            told={f"seed={one}": f"--seed {one}"},
        )
        for one in chosen
    ]


@contextmanager
def epoch_bar(*, quiet: bool = False) -> Iterator[Progress]:
    """A bar of the epoch's steps on stderr, quiet when that is not a terminal."""
    from tqdm import tqdm

    with tqdm(disable=quiet or not sys.stderr.isatty(), file=sys.stderr, leave=False) as bar:

        def update(step: int, total: int, text: str) -> None:
            bar.total = total
            bar.set_description(text, refresh=False)
            bar.update(step - bar.n)

        yield update


def _conclude(runs: list[RunOutcome], *, several: bool, as_json: bool) -> None:
    results = [{"run": str(run.path), **vars(run.result)} for run in runs]
    lines = [
        f"{'Was finished' if run.how == 'kept' else 'Stopped'} after {run.result.epochs} epochs"
        f" ({run.result.reason}); kept epoch {run.result.best_epoch} with validation"
        f" {run.recipe.selection.metric} {abs(run.result.best_score):.4f} in {run.path}."
        for run in runs
    ]
    conclude(
        {"runs": results} if several else results[0],
        lines,
        f"cider evaluate {' '.join(str(run.path) for run in runs)}{code_again()}",
        as_json=as_json,
    )
