from __future__ import annotations

from pathlib import Path

import click

from cider.cli_options import PATH, RecipeName, code_again, code_option, set_option, tell
from mer_data.cli_options import SEED, FiniteRange, conclude, json_option


@click.command()
@click.argument("recipe", type=RecipeName())
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    required=True,
    help="Trials of the study in the end, over all workers.",
)
@click.option(
    "--storage",
    metavar="URL",
    help="Database URL or journal:PATH, shared by the workers; default: study.db in the study's folder.",
)
@click.option("--study", metavar="NAME", help="Name of the study; default: the recipe's.")
@click.option("--seed", type=SEED, help="Seed of the search; default: the recipe's.")
@set_option("Override a key; it is not searched then.")
@click.option("--timeout", type=FiniteRange(min=0), metavar="SECONDS", help="Begin no trial after this.")
@click.option("--out", type=PATH, help="Folder of the study; default: runs/tune/NAME.")
@code_option
@json_option
def tune(
    recipe: str,
    trials: int,
    storage: str | None,
    study: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    timeout: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Search the paper's hyperparameters of RECIPE on the validation fold.

    TPE proposes, the median of the other trials prunes. The same command resumes a study that was stopped,
    and started several times it is several workers of one study. The test fold is never read.

    \b
    Examples:
      cider tune sample --trials 20
      cider tune mosi_iid_binary_minilm --trials 300 --set data.split=standard
      cider tune sample --trials 20 --set model.layers=1 --study shallow
      cider tune sample --trials 300 --storage postgresql+psycopg://user:password@host/studies
      cider tune sample --trials 300 --storage journal:/shared/study.journal
    """
    from cider.recipe.schema import find_recipe, load_recipe
    from cider.tuning.report import write_tuning_report
    from cider.tuning.storage import masked
    from cider.tuning.study import Tuning
    from mer_data.errors import RecipeError
    from mer_data.files.writing import is_plain_name

    if study is not None and not is_plain_name(study):
        raise RecipeError(
            "not a name for a study", found=repr(study), expected="a name of one folder, without / in it"
        )
    resolved = load_recipe(find_recipe(recipe), overrides)
    name = study or resolved.name
    folder = out or Path("runs") / "tune" / name
    fixed = [override.partition("=")[0] for override in overrides]
    tuning = Tuning(resolved, folder, name=name, storage=storage, seed=seed, fixed=fixed)
    tuning.work(trials, tell, timeout=timeout)
    report = write_tuning_report(tuning.study, resolved, folder)
    metric, score = resolved.selection.metric, abs(report.best.value or 0.0)
    told = ", ".join(f"{number} {state}" for state, number in report.states.items())
    conclude(
        {
            "study": name,
            "storage": masked(tuning.storage),
            "trials": report.states,
            "best": {"trial": report.best.number, f"validation_{metric}": score, "values": report.values},
            "recipe": str(report.recipe),
            "table": str(report.table),
            "figures": [str(path) for path in report.figures],
        },
        [
            f"Trials: {told}. Best is trial {report.best.number} with validation {metric} {score:.4f}.",
            f"Its recipe: {report.recipe}. All trials: {report.table}.",
        ],
        f"cider train {report.recipe}{code_again()}",
        as_json=as_json,
    )
