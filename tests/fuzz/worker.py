"""One process that tries mutations of one kind and tells how each ended, a JSON line each.

Its memory is limited, so that a file that asks for gigabytes is a failure here and not of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from zlib import crc32

import numpy as np

from fuzz.artefacts import Splits, Statistics, Stores, Vocabularies
from fuzz.kinds import REFUSED, Computed, Kind
from fuzz.runs import Resumes, Runs
from fuzz.sources import ComputationalSequences, JoblibFiles, Pickles

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        ComputationalSequences(),
        Pickles(),
        JoblibFiles(),
        Stores(),
        Splits(),
        Statistics(),
        Vocabularies(),
        Runs(),
        Resumes(),
    )
}
TRACEBACK_LINES = 12


def main(kind: Kind, template: Path, first: int, last: int, seed: int) -> None:
    """Try mutations ``first`` to ``last`` (without it); -1 makes the template and its sound result first."""
    if first < 0:
        _enter(template)
        kind.prepare(template)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch) / "files"
        _copy(template, folder)
        sound = kind.compute(folder)  # also imports everything, before memory is limited
        if first >= 0:
            _limit_memory(kind.memory)
        for number in range(first, last):
            _tell(number, "begins")
            _copy(template, folder)
            rng = np.random.default_rng([seed, crc32(kind.name.encode()), number])
            what = kind.mutate(folder, rng)
            _tell(number, *_outcome(kind, folder, sound, what))


def _copy(template: Path, folder: Path) -> None:
    """A fresh copy of the sound files."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    _enter(folder)


def _outcome(kind: Kind, folder: Path, sound: Computed, what: str) -> tuple[str, str]:
    """How reading a mutated file ended, and the words for it."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = kind.compute(folder)
        except REFUSED as error:
            lines = str(error).splitlines()
            return ("clean", "") if len(lines) == 1 else ("traceback", f"{what}: {len(lines)} lines: {error}")
        except Exception:
            last = traceback.format_exc().splitlines()[-TRACEBACK_LINES:]
            return "traceback", f"{what}: " + "\n".join(last)
    if not kind.checked or found.value == sound.value or found.told or told:
        return "clean", ""
    return "silent", f"{what}: another result"


def _enter(folder: Path) -> None:
    """Work in ``folder``, with the workspace in it."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ["MER_DATA_HOME"] = str(folder / "data")


def _limit_memory(num_bytes: int) -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + num_bytes, used + num_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tell(number: int, state: str, words: str = "") -> None:
    os.write(_RESULTS, (json.dumps({"number": number, "state": state, "words": words}) + "\n").encode())


if __name__ == "__main__":
    _RESULTS = os.dup(1)  # what commands print goes elsewhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    name, where, begin, end, number = sys.argv[1:]
    with contextlib.redirect_stdout(None):
        main(KINDS[name], Path(where), int(begin), int(end), int(number))
