"""``Finding``: the result of a check on an artefact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mer_data import errors
from mer_data.errors import MerDataError

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
NUM_EXAMPLES = 5

DAMAGE = (MerDataError, *errors.DAMAGE)
"""The errors of reading a damaged file, through our own readers or past them."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: "error" (do not use it), "warning" (look at it) or "note" (good to know).
        artefact: the file.
        check: name of the check.
        message: what was found, in one sentence without a full stop.
        ids: some of the utterances concerned.
        count: how many utterances are concerned; 0 where the finding is not about utterances.
    """

    level: Level
    artefact: Path
    check: str
    message: str
    ids: tuple[str, ...] = ()
    count: int = 0

    @property
    def text(self) -> str:
        """The message with its examples."""
        if not self.ids:
            return self.message
        more = f" and {self.count - len(self.ids)} more" if self.count > len(self.ids) else ""
        return f"{self.message} ({', '.join(self.ids)}{more})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "level": self.level,
            "artefact": str(self.artefact),
            "check": self.check,
            "message": self.message,
            "ids": list(self.ids),
            "count": self.count,
        }


class Findings:
    """Collects the findings on one artefact."""

    def __init__(self, artefact: Path) -> None:
        """Start without findings."""
        self.artefact = artefact
        self.found: list[Finding] = []

    def error(self, check: str, message: str, ids: Sequence[str] = ()) -> None:
        """The artefact must not be used."""
        self._add("error", check, message, ids)

    def warning(self, check: str, message: str, ids: Sequence[str] = ()) -> None:
        """A person should look at it."""
        self._add("warning", check, message, ids)

    def note(self, check: str, message: str, ids: Sequence[str] = ()) -> None:
        """Good to know."""
        self._add("note", check, message, ids)

    def _add(self, level: Level, check: str, message: str, ids: Sequence[str]) -> None:
        one_line = " ".join(message.split())
        self.found.append(Finding(level, self.artefact, check, one_line, tuple(ids[:NUM_EXAMPLES]), len(ids)))


def one_line(error: BaseException) -> str:
    """The first line of an exception's text without its full stop, or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
