"""``--code``: files with models of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

_KEY = "cider.code"


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
