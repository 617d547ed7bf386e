"""``--code``: files with models of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_KEY = "cider.code"


def code_option(function: F) -> F:
    """``--code FILE`` runs a file before the command, so that recipes and runs can name its classes."""
    return click.option(
        "--code",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        callback=_load,
        expose_value=False,
        is_eager=True,
        help="Python file with a model of your own. It is run: name no file that you do not trust.",
    )(function)


def code_again() -> str:
    """`` --code FILE`` for the command that comes next, as this one was given."""
    given: tuple[Path, ...] = click.get_current_context().meta.get(_KEY, ())
    return "".join(f" --code {shlex.quote(str(path))}" for path in given)


def _load(context: click.Context, _: click.Parameter, paths: tuple[Path, ...]) -> None:
    context.meta[_KEY] = paths
    if paths and not context.resilient_parsing:
        from cider.models.own_code import load_code

        load_code(paths)
