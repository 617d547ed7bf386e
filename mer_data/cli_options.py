"""Shared parts of the commands: one-line errors, common options, progress bars, closing lines."""

from __future__ import annotations

import errno
import io
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from mer_data.errors import MerDataError
from mer_data.progress import Progress
from mer_data.seeds import MAX_SEED

if TYPE_CHECKING:
    from mer_data.utterances import DroppedUtterance

F = TypeVar("F", bound=Callable[..., Any])


class OneLineErrors(click.Group):
    """A group whose commands end with one clear line and exit code 1 when the user can mend the cause.

    Printing never fails: what a terminal or pipe cannot show is written as an escape.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command line."""
        escape_what_cannot_be_shown()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; user mistakes and file-system errors become one line."""
        try:
            return super().invoke(ctx)
        except MerDataError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe has gone; click ends quietly
                raise
            place = f" ({error.filename})" if error.filename else ""
            raise click.ClickException(f"{error.strerror or error}{place}.") from error


def escape_what_cannot_be_shown() -> None:
    """Let stdout and stderr write characters that their encoding lacks as ``\\xe9`` or ``\\u4f60``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class DatasetName(click.ParamType):
    """Name of a source manifest; completes in the shell."""

    name = "dataset"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin with what was typed."""
        from mer_data.sources.catalogue import known_datasets

        return [CompletionItem(name) for name in known_datasets() if name.startswith(incomplete)]


SEED = click.IntRange(0, MAX_SEED)
"""A seed."""
WORKERS = click.IntRange(1, 256)
"""Processes or threads: each takes memory before it does anything."""


class FiniteRange(click.FloatRange):
    """A number in a range; neither infinite nor "nan", which is in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A finite number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


class Numbers(click.ParamType):
    """Numbers with commas between them."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float]) -> None:
        """Take numbers of ``kind``."""
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple of numbers."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers with commas between them.", param, ctx)


def dataset_option(function: F) -> F:
    """``--dataset NAME``; without it, the only dataset in the workspace."""
    return click.option(
        "--dataset", type=DatasetName(), help="Dataset; default: the only one in the workspace."
    )(function)


def alignment_option(function: F) -> F:
    """``--alignment`` chooses a store."""
    return click.option(
        "--alignment",
        metavar="NAME",
        help="Store to read: aligned, unaligned or a path; default: the only one.",
    )(function)


def split_option(function: F) -> F:
    """``--split`` chooses a split manifest."""
    return click.option(
        "--split", "split_name", metavar="NAME", help="Split, by name or path; default: the only one."
    )(function)


def task_option(function: F) -> F:
    """``--task``; the default is the split's own task."""
    return click.option(
        "--task",
        type=click.Choice(["binary", "seven"]),
        help="Default: the split's task, or binary where it has none.",
    )(function)


def force_option(function: F) -> F:
    """``--force`` allows overwriting."""
    return click.option("--force", is_flag=True, help="Replace a file that exists.")(function)


def json_option(function: F) -> F:
    """``--json`` prints a machine-readable result."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


def output_options(function: F) -> F:
    """``--force`` and ``--json``."""
    return force_option(json_option(function))


def store_options(function: F) -> F:
    """``--dataset`` and ``--alignment``, which choose a store."""
    return dataset_option(alignment_option(function))


@contextmanager
def progress_bar(label: str = "", *, quiet: bool = False) -> Iterator[Progress]:
    """Show a bar on stderr, quiet when that is not a terminal; a text of the progress replaces its label."""
    from tqdm import tqdm

    hidden = quiet or not sys.stderr.isatty()
    with tqdm(desc=label or None, disable=hidden, file=sys.stderr, leave=False) as bar:

        def update(done: int, total: int, text: str = "", /) -> None:
            bar.total = total
            if text:
                bar.set_description(text, refresh=False)
            bar.update(done - bar.n)

        yield update


def repeated(**options: object) -> str:
    """`` --name value`` of every option with a value, for the command that comes next."""
    return "".join(f" --{n} {shlex.quote(str(value))}" for n, value in options.items() if value is not None)


NUM_SHOWN = 5
"""Ids of one kind that a command prints; ``--json`` has all of them."""


def drop_lines(dropped: Sequence[DroppedUtterance]) -> list[str]:
    """One line per reason: how many were dropped for it, and a few of them."""
    by_reason: dict[str, list[str]] = {}
    for drop in dropped:
        by_reason.setdefault(drop.reason, []).append(drop.id)
    return [
        f"  dropped {len(ids)}: {reason} ({', '.join(ids[:NUM_SHOWN])}"
        + (f" and {len(ids) - NUM_SHOWN} more, see --json)" if len(ids) > NUM_SHOWN else ")")
        for reason, ids in by_reason.items()
    ]


def conclude(result: dict[str, Any], lines: list[str], next_step: str | None, *, as_json: bool) -> None:
    """Print ``result`` as JSON, or ``lines`` and the next step for a person."""
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    for line in lines:
        click.echo(line)
    if next_step:
        click.echo(f"Next: {next_step}")
