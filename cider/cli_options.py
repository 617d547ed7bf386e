"""Options that the commands share: lists of numbers, and files with models of one's own. No torch."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from mer_data.errors import RecipeError
from mer_data.seeds import MAX_SEED

MOST_NUMBERS = 1000
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
