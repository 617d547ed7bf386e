from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cider.cli_options import PATH, RecipeName, code_again, code_option, parse_seeds, set_option, tell
from cider.training.launch import world_size
from mer_data.cli_options import conclude, force_option, json_option, progress_bar

if TYPE_CHECKING:
    from cider.recipe.schema import Recipe
    from cider.training.many_runs import RunOutcome


@click.command()
@click.argument("recipe", type=RecipeName(), required=False)
@set_option("Override a key, such as model.layers=3.")
@click.option("--seed", type=int, help="Seed of weights, order, masks and dropout; default: the recipe's.")
@click.option("--seeds", metavar="N,N,...", help="One run per seed; finished ones are kept, others resumed.")
@click.option(
    "--out",
    type=PATH,
    help="Run folder; default: runs/NAME-seedSEED. With --seeds the folder of the runs.",
)
@click.option("--resume", metavar="RUN", type=PATH, help="Continue a run that was stopped.")
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

    def recipes() -> list[Recipe]:
        return [] if resume else _recipes(str(recipe), overrides, seed, seeds)

    # A wrong recipe is told before torch is imported; by several processes together, which torch connects.
    resolved = recipes() if world_size() == 1 else None

    from cider.training.distributed import Processes, StoppedElsewhereError
    from cider.training.many_runs import resume_run, run_folder, train_run, train_seeds

    processes = Processes.launched()
    tell_main = tell if processes.is_main else lambda _line: None
    try:
        with progress_bar(quiet=not processes.is_main) as progress:
            with processes.fail_together():
                resolved = recipes() if resolved is None else resolved
            if resume is not None:
                runs = [resume_run(resume, tell_main, progress=progress)]
                if runs[0].warning is not None:
                    tell_main(runs[0].warning)
            elif seeds is None:
                folder = out or run_folder(resolved[0])
                runs = [train_run(resolved[0], folder, tell_main, force=force, progress=progress)]
            else:
                runs = train_seeds(resolved, out or Path("runs"), tell_main, force=force, progress=progress)
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
