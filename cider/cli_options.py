"""Arguments, options and ways of printing that the commands share. Does not import torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mer_data.cli_options import DatasetName
from mer_data.errors import RecipeError
from mer_data.seeds import MAX_SEED

if TYPE_CHECKING:
    from cider.evaluation.evaluate import EvaluationOverrides
    from cider.prediction.target import Target

F = TypeVar("F", bound=Callable[..., Any])
MOST_NUMBERS = 1000
PATTERNS = ["rmfm", "rmfm_same", "rmm", "tmfm", "stmfm", "smm"]
FOLD = click.Choice(["train", "valid", "test"])
PATH = click.Path(path_type=Path)
run_argument = click.argument("run", type=PATH)
runs_argument = click.argument("runs", nargs=-1, required=True, type=PATH)
_KEY = "cider.code"


def parse_rates(text: str) -> tuple[float, ...]:
    """Missing rates from "0,0.5,1".

    Raises:
        RecipeError: not numbers, not rising, outside [0, 1], or more than ``MOST_NUMBERS``.
    """
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    rising = list(rates) == sorted(set(rates)) and all(0 <= rate <= 1 for rate in rates)
    if not rising or not 0 < len(rates) <= MOST_NUMBERS:
        raise RecipeError(
            "not a list of missing rates",
            found=_quoted(text),
            expected="rising numbers in [0, 1], as 0,0.5,1",
        )
    return rates


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds of training or of masks from "1111,1112".

    Raises:
        RecipeError: not whole numbers from 0 to ``MAX_SEED``, one twice, or more than ``MOST_NUMBERS``.
    """
    parts = [part.strip() for part in text.split(",")]
    seeds = tuple(int(part) for part in parts if re.fullmatch("[0-9]{1,20}", part))
    if len(set(seeds)) < len(parts) or max(seeds) > MAX_SEED or len(seeds) > MOST_NUMBERS:
        raise RecipeError(
            "not a list of seeds",
            found=_quoted(text),
            expected=f"different whole numbers from 0 on, {MAX_SEED} at most, as 1111,1112,1113",
        )
    return seeds


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def code_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--code FILE`` runs a file before the command, so that recipes and runs can name its classes."""

    @wraps(function)
    def with_code(*arguments: Any, code: tuple[Path, ...], **options: Any) -> Any:
        click.get_current_context().meta[_KEY] = code
        if code:
            from cider.models.own_code import load_code

            load_code(code)
        return function(*arguments, **options)

    return click.option(
        "--code",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Python file with a model of your own. It is run: name no file that you do not trust.",
    )(with_code)


def code_again() -> str:
    """`` --code FILE`` for the command that comes next, as this one was given."""
    given: tuple[Path, ...] = click.get_current_context().meta.get(_KEY, ())
    return "".join(f" --code {shlex.quote(str(path))}" for path in given)


class RecipeName(click.ParamType):
    """A recipe file or the name of a packaged one; completes in the shell."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the packaged recipes that begin with what was typed."""
        from cider.recipe.schema import known_recipes

        return [CompletionItem(name) for name in known_recipes() if name.startswith(incomplete)]


def set_option(help: str) -> Callable[[F], F]:
    """Add ``--set KEY=VALUE``, which may be given several times."""
    return click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help=help)


def _all_of(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Add several options, listed by ``--help`` in this order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


sweep_options = _all_of(
    click.option("--pattern", type=click.Choice(PATTERNS), help="Missing pattern; default: the recipe's."),
    click.option(
        "--rates", metavar="R,R,...", help="Missing rates, rising; default: the recipe's, 0.0 to 1.0."
    ),
    click.option("--mask-seeds", metavar="N,N,...", help="Seeds of the masks; default: the recipe's."),
    click.option(
        "--debiasing",
        type=click.Choice(["probability", "log"]),
        help="Subtract probabilities or their logarithms; default: the recipe's.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bf16"]),
        help="Of the predictions; float32 is the reference. Default: the recipe's.",
    ),
    click.option(
        "--resamples",
        type=click.IntRange(100, 100_000),
        metavar="N",
        help="Of the bootstrap behind the intervals; default: the recipe's.",
    ),
)
"""Which sweep: pattern, rates, mask seeds, debiasing, precision. `choices_of` reads them."""

target_options = _all_of(
    click.option(
        "--on",
        "on_dataset",
        type=DatasetName(),
        help="Test on another corpus; default: the test fold of the run's own split.",
    ),
    click.option(
        "--on-alignment",
        metavar="NAME",
        help="With --on: its store, by name or path; default: the one called as the run's.",
    ),
    click.option(
        "--on-split",
        metavar="NAME",
        help="With --on: its split, by name or path; default: the only one.",
    ),
)
"""Whose test fold, where it is not the run's own. `target_of` reads them."""


def choices_of(*, rates: str | None, mask_seeds: str | None, **others: Any) -> EvaluationOverrides:
    """Return what ``sweep_options`` chose."""
    from cider.evaluation.evaluate import EvaluationOverrides

    return EvaluationOverrides(
        rates=None if rates is None else parse_rates(rates),
        mask_seeds=None if mask_seeds is None else parse_seeds(mask_seeds),
        **others,
    )


def target_of(dataset: str | None, alignment: str | None, split: str | None) -> Target | None:
    """Return what ``target_options`` chose."""
    from cider.prediction.target import Target

    if dataset is None:
        if alignment or split:
            raise click.UsageError("--on-alignment and --on-split go with --on.")
        return None
    return Target(dataset, alignment, split)


def tell(line: str) -> None:
    """Print a line for a person on standard error."""
    click.echo(line, err=True)
