"""Why a file could not be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mer_data.errors import SourceError


class AttemptError(Exception):
    """One attempt at one address failed.

    Attributes:
        lasting: whether trying the same address again is pointless.
        wait_s: how long the server asked to be left alone.
        unreached: host and port that took no connection; None where there was one.
    """

    def __init__(
        self, reason: str, *, lasting: bool, wait_s: float = 0.0, unreached: str | None = None
    ) -> None:
        """Remember the reason in a few words."""
        super().__init__(reason)
        self.lasting = lasting
        self.wait_s = wait_s
        self.unreached = unreached


class SlowError(TimeoutError):
    """An answer brings next to nothing."""


class StoppedError(Exception):
    """The user ended the download."""


@dataclass(frozen=True)
class Failure:
    """A file that is missing after everything was tried.

    Attributes:
        name: the file.
        reasons: what happened, by address or page.
    """

    name: str
    reasons: dict[str, str]

    def __str__(self) -> str:
        """``name: address (reason); address (reason)``."""
        return f"{self.name}: " + "; ".join(f"{where} ({why})" for where, why in self.reasons.items())


class DownloadError(SourceError):
    """Files of a dataset could not be had; the message has a line for each, below the first one."""

    def __init__(self, dataset: str, num_wanted: int, failures: Sequence[Failure], folder: Path) -> None:
        """List the failures.

        Args:
            dataset: name of the dataset.
            num_wanted: how many files were asked for.
            failures: those that are missing.
            folder: where copies are picked up.
        """
        super().__init__(
            f"{len(failures)} of {num_wanted} files of {dataset} could not be had (listed below)",
            do=f"Fetch them in any way, put them into {folder} under any name and run"
            f" `mer-data import {folder}`; or pass --mirror URL; or run the same command again, which goes"
            " on where it broke off",
        )
        self.failures = tuple(failures)
        self.args = ("\n".join([str(self), *(f"  {failure}" for failure in failures)]),)
