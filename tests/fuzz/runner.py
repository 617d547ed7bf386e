"""Runs workers in batches, ends those that hang, and counts how mutations ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

STATES = ("clean", "traceback", "silent", "hang", "crash")
BATCH = 50
START_SECONDS = 300.0
_TESTS = Path(__file__).parents[1]


@dataclass
class Tally:
    """How the mutations of one kind ended.

    Attributes:
        counts: number of mutations by state.
        faults: number and words of every mutation that did not end clean.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, state: str, words: str) -> None:
        """Count one mutation."""
        self.counts[state] += 1
        if state != "clean":
            self.faults.append((number, state, words))


def try_kind(
    name: str,
    rounds: int,
    seed: int,
    folder: Path,
    *,
    seconds: float,
    first: int = 0,
    command: Callable[..., list[str]] | None = None,
) -> Tally:
    """Try ``rounds`` mutations of one kind.

    Args:
        name: the kind.
        rounds: number of mutations.
        seed: of all of them.
        folder: for the sound files.
        seconds: that one mutation may take.
        first: number of the first mutation.
        command: gives the command line of a worker; a test puts another one here.
    """
    command = command or worker_command
    template = folder / name
    prepared = subprocess.run(
        command(name, template, -1, -1, seed),
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if prepared.returncode != 0:
        raise RuntimeError(f"the sound files of {name} cannot be made: {prepared.stderr[-3000:]}")
    tally, number, last = Tally(), first, first + rounds
    while number < last:
        end = min(number + BATCH, last)
        number = _batch(command(name, template, number, end, seed), number, end, seconds, tally)
    return tally


def _batch(command: list[str], number: int, end: int, seconds: float, tally: Tally) -> int:
    """One worker; the number of the mutation that the next one begins with."""
    worker = subprocess.Popen(
        command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert worker.stdout is not None
    lines = _lines(worker.stdout.fileno())
    begun, limit = number, START_SECONDS
    state = None
    try:
        while number < end:
            line = lines(limit)
            if line is None:
                state = "hang"
                break
            if not line:
                state = "crash"
                break
            told = json.loads(line)
            limit = seconds
            if told["state"] == "begins":
                begun = told["number"]
            else:
                tally.add(told["number"], told["state"], told["words"])
                number = told["number"] + 1
    finally:
        if state is not None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        _, errors = worker.communicate()
    if state is not None:
        words = f"exit code {worker.returncode} {errors[-500:].decode(errors='replace')}"
        tally.add(begun, state, words if state == "crash" else f"longer than {limit:g} s")
        return begun + 1
    return end


def _lines(descriptor: int) -> Callable[[float], bytes | None]:
    """A function that gives the next line: b"" at the end, None where it takes longer than its seconds."""
    buffer = bytearray()

    def next_line(seconds: float) -> bytes | None:
        until = time.monotonic() + seconds
        while b"\n" not in buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                return b""
            buffer.extend(piece)
        line, _, rest = bytes(buffer).partition(b"\n")
        buffer[:] = rest
        return line

    return next_line


def worker_command(name: str, template: Path, first: int, last: int, seed: int) -> list[str]:
    """The command line of a worker."""
    return [sys.executable, "-m", "fuzz.worker", name, str(template), str(first), str(last), str(seed)]


def _environment() -> dict[str, str]:
    paths = [str(_TESTS), str(_TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def table(tallies: dict[str, Tally]) -> list[str]:
    """The numbers of every kind and their sums."""
    rows = {name: tally.counts for name, tally in tallies.items()}
    rows["all"] = sum(rows.values(), Counter())
    lines = ["".join([f"{'kind':<12}{'tried':>8}", *(f"{state:>11}" for state in STATES)])]
    for name, counts in rows.items():
        numbers = [counts.total(), *(counts[state] for state in STATES)]
        lines.append(f"{name:<12}{numbers[0]:>8}" + "".join(f"{number:>11}" for number in numbers[1:]))
    return lines
