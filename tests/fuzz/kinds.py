"""What is mutated, and what is computed from it."""

from __future__ import annotations

import hashlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from fuzz.mutations import change_bytes, change_json
from mer_data.errors import MerDataError


class RefusedError(Exception):
    """A command ended with one clear line and exit code 1."""


class UnclearError(Exception):
    """A command ended otherwise than with exit code 0, or with one line and exit code 1."""


@dataclass(frozen=True)
class Computed:
    """What a command computed.

    Attributes:
        value: digest of it.
        told: warnings that it gave beside.
    """

    value: str
    told: str = ""


class Kind:
    """One kind of file.

    Attributes:
        checked: a file of our own, which notices every change.
        seconds: how long one mutation may take.
        memory: bytes that it may take beyond what sound files need.
    """

    name: str
    checked = True
    seconds = 20.0
    memory = 1 << 29

    def prepare(self, folder: Path) -> None:
        """Make the sound files in ``folder``, the current one and the workspace."""
        raise NotImplementedError

    def files(self, folder: Path) -> list[Path]:
        """Files that may be mutated."""
        raise NotImplementedError

    def compute(self, folder: Path) -> Computed:
        """What the commands make of the files.

        Raises:
            RefusedError: they are refused in one line.
            MerDataError: they are refused by the library.
        """
        raise NotImplementedError

    def mutate(self, folder: Path, rng: np.random.Generator) -> str:
        """Change one file; which one."""
        files = sorted(self.files(folder))
        path = files[rng.integers(len(files))]
        content = path.read_bytes()
        change = change_json if path.suffix == ".json" and rng.random() < 0.5 else change_bytes
        path.unlink()  # a new file: handles that are still open keep the old one
        path.write_bytes(change(content, rng))
        return path.name


def run(command: str, main=None) -> str:
    """Run a command line in this process; its output.

    Raises:
        RefusedError: one line of error and exit code 1.
        UnclearError: any other exit code, or an error of more lines.
        Exception: what the command did not catch.
    """
    if main is None:
        from mer_data.commands import main
    result = CliRunner().invoke(main, shlex.split(command))
    if result.exit_code == 0:
        return result.stdout
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    if result.exit_code != 1 or len(errors) != 1 or "Traceback" in result.stderr:
        raise UnclearError(f"exit code {result.exit_code}: {result.output[-500:]}")
    raise RefusedError(errors[0])


def prepare_sample(folder: Path) -> None:
    """A sample corpus of eight videos in the workspace, with both stores and a split."""
    from mer_data.sources.sample import SampleSize, write_sample
    from mer_data.workspace import Workspace

    os.environ["MER_DATA_HOME"] = str(folder / "data")
    write_sample(Workspace("sample").raw, 0, SampleSize(num_videos=8, segments_per_video=6))
    run("mer-data build --dataset sample --json".removeprefix("mer-data "))
    run("standard-split --dataset sample")


def digest(*values: object) -> str:
    """Digest of arrays, texts and bytes."""
    result = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            result.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
        else:
            result.update(value if isinstance(value, bytes) else repr(value).encode())
    return result.hexdigest()


REFUSED = (RefusedError, MerDataError)
