"""Parts of a training step: spans that any `torch.profiler` shows, and that `record_spans` measures.

A profiler records every operation: after nine steps of the smallest model, reading its events took half a
minute and a gigabyte. A clock at both ends of a part is enough. Unrecorded, a part costs a few microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.profiler import record_function

LOADING, MISSING, LOSSES = "data loading", "missing patterns", "losses"
BACKWARD, OPTIMISER = "backward", "optimiser"


@dataclass(frozen=True)
class Span:
    """A part, when it began and when it ended, in seconds of a clock."""

    part: str
    start: float
    end: float


class _Recording:
    """Spans measured so far, on the device that is waited for."""

    def __init__(self, device: torch.device) -> None:
        self.spans: list[Span] = []
        self._device = device

    def now(self) -> float:
        """Return the time when the device has done what it was given; a processor has when a call returns."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


_recordings: list[_Recording] = []


@contextmanager
def step_part(name: str) -> Iterator[None]:
    """Mark the work inside as the part ``name`` of a step."""
    with record_function(name):
        started = [(recording, recording.now()) for recording in _recordings]
        try:
            yield
        finally:
            for recording, start in started:
                recording.spans.append(Span(name, start, recording.now()))


@contextmanager
def record_spans(device: torch.device) -> Iterator[list[Span]]:
    """Measure every part that is marked while the context is open.

    Args:
        device: of the training.

    Yields:
        The spans in the order of their ends; a part inside another has a span of its own.
    """
    recording = _Recording(device)
    _recordings.append(recording)
    try:
        yield recording.spans
    finally:
        _recordings.remove(recording)
