"""Checks that statistics and vocabularies are of this version, unchanged, and of this store and split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_data.errors import DAMAGE, StatisticsError
from mer_data.files.writing import sha256_text


@dataclass(frozen=True)
class StatisticsFile:
    """A file of statistics, for the checks and their messages.

    Attributes:
        path: the file.
        holds: what is in it, such as "class statistics".
        command: the command that makes it.
    """

    path: Path
    holds: str
    command: str

    @property
    def name(self) -> str:
        """The file in a sentence."""
        return f"the file with the {self.holds}"

    @property
    def again(self) -> str:
        """Advice for a file that cannot be used."""
        return f"Make it again with `{self.command} --force`"

    @contextmanager
    def damage_named(self) -> Iterator[None]:
        """Whatever a damaged file raises while it is read, as one error that says how to make it again."""
        try:
            yield
        except DAMAGE as error:
            raise StatisticsError(
                f"{self.name} is damaged ({error})", where=self.path, do=self.again
            ) from error

    def check_present(self) -> None:
        """Raise where there is no such file."""
        if not self.path.is_file():
            raise StatisticsError(f"no {self.holds}", where=self.path, do=f"Make it with `{self.command}`")

    def check_version(self, found: tuple[object, object], expected: tuple[str, int]) -> None:
        """Raise where format and version are others than ``expected``.

        Older versions are refused: they have no digest of their content, so damage would go unnoticed.
        """
        (found_format, version), (known_format, known_version) = found, expected
        is_number = isinstance(version, (int, np.integer)) and not isinstance(version, bool)
        if found_format == known_format and is_number and version < known_version:  # type: ignore[operator]
            raise StatisticsError(
                f"{self.name} is of an older version, which has no digest of its content",
                where=self.path,
                found=f"version {version}",
                expected=known_version,
                do=self.again,
            )
        if found_format != known_format or version != known_version:
            raise StatisticsError(
                f"{self.name} is of an unknown format or a newer version",
                where=self.path,
                found=f"{found_format} {version}",
                expected=f"{known_format} {known_version}",
                do=f"Update mer-data. {self.again}",
            )

    def check_digest(self, what: str, found: str, stored: object) -> None:
        """Raise where the digest of ``what`` is not the one that was stored when the file was made."""
        if found != stored:
            raise StatisticsError(
                f"{self.name} was changed after it was made, or is damaged: other {what} digest",
                where=self.path,
                found=found,
                expected=stored or "a stored digest",
                do=self.again,
            )

    def check_origin(self, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
        """Raise at the first digest in ``expected`` that ``found`` does not have."""
        for name, value in expected.items():
            if found.get(name) != value:
                raise StatisticsError(
                    f"computed from another {name.replace('_', ' ')}",
                    where=self.path,
                    found=found.get(name),
                    expected=value,
                    do=self.again,
                )

    def check_task(self, found: str, expected: str) -> None:
        """Raise where it is of another task."""
        if found != expected:
            raise StatisticsError(
                f"{self.name} is of another task", where=self.path, found=found, expected=expected
            )


def json_digest(content: Mapping[str, object]) -> str:
    """SHA-256 of JSON values in any order and layout; ``content_digest`` itself takes no part."""
    others = {name: value for name, value in content.items() if name != "content_digest"}
    return sha256_text(json.dumps(others, sort_keys=True))
