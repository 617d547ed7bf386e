"""The errors a person can cause, each one line: what, where, found, expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
"""The errors of reading a damaged file: h5py, JSON, UTF-8 and numpy each have their own."""


class MerDataError(Exception):
    """A mistake in input, files or parameters. Commands print it as one line and exit with code 1."""

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        found: object = None,
        expected: object = None,
        do: str | None = None,
    ) -> None:
        """Compose the message.

        Args:
            what: what is wrong, without a full stop.
            where: file, utterance or key.
            found: the value met.
            expected: the value that would have been right.
            do: what the user should do next.
        """
        message = what
        if where is not None:
            message += f" in {where}"
        if found is not None:
            message += f": found {found}"
        if expected is not None:
            message += (", " if found is not None else ": ") + f"expected {expected}"
        message = message.rstrip(".") + "."
        if do:
            message += f" {do}" if do.endswith("?") else f" {do.rstrip('.')}."
        super().__init__(" ".join(message.split()))


class SourceError(MerDataError):
    """A foreign file (computational sequence, pickle, transcript, source manifest) cannot be used."""


class StoreError(MerDataError):
    """A feature store is damaged, of another version, or does not fit the request."""


class SplitError(MerDataError):
    """A split manifest is damaged, or belongs to another store."""


class StatisticsError(MerDataError):
    """A statistics or vocabulary file is damaged, or was computed from something else."""


class ExportError(MerDataError):
    """A store cannot be exported as asked."""


class WorkspaceError(MerDataError):
    """A file is missing in the workspace, or a choice between several is needed."""


class WriteError(MerDataError):
    """A file cannot be written: the disk is full, or no file may be larger."""


class RecipeError(MerDataError):
    """A recipe has unknown keys or impossible values."""


class RunError(MerDataError):
    """A training run or its folder cannot be used."""


class DamagedRunError(RunError):
    """A file of a run is not what was written there."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` may be a slip or the beginning of."""
    words = list(known)
    begun = [one for one in words if word and one.startswith(word)]
    return next(iter(difflib.get_close_matches(word[:80], words, n=1) or begun), None)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return "Did you mean ...?" where a known word is close to ``word``; what an error asks to do."""
    close = closest(word, known)
    return close and f"Did you mean {close}?"
