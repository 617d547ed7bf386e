"""The one form in which work reports its progress, and the bars of a download."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

Tell = Callable[[str], None]
"""Called with a line for a person: what becomes of something, or a warning."""


class Progress(Protocol):
    """Called as work goes on."""

    def __call__(self, done: int, total: int, text: str = "", /) -> None:
        """Report progress.

        Args:
            done: items done so far.
            total: items in all.
            text: what is being worked on; empty where the bar's own label says it.
        """


def ignore_progress(done: int, total: int, text: str = "", /) -> None:
    """Report to nobody."""


def part_of_progress(progress: Progress | None, start: int, size: int, total: int) -> Progress | None:
    """Return the progress of one part of the work, which reports it as progress of the whole.

    Args:
        progress: of the whole; None: nobody asks.
        start: items of the whole before the part.
        size: items of the whole in the part, however many steps the part itself counts.
        total: items of the whole.
    """
    if progress is None:
        return None

    def report(done: int, of: int, text: str = "", /) -> None:
        progress(start + size * done // max(1, of), total, text)

    return report


@contextmanager
def transfer_bars(sizes: Mapping[str, int | None]) -> Iterator[Callable[[str, int, int | None], None]]:
    """Bars on stderr, quiet when that is not a terminal; what is yielded may be called from any thread.

    Args:
        sizes: bytes of every file, where known.
    """
    from tqdm import tqdm

    lock = threading.Lock()
    options = {
        "unit": "B",
        "unit_scale": True,
        "unit_divisor": 1000,
        "disable": not sys.stderr.isatty(),
        "file": sys.stderr,
        "leave": False,
    }
    totals = dict(sizes)
    done_of = dict.fromkeys(totals, 0)
    bars: dict[str, Any] = {}
    with tqdm(desc="in total", total=_sum(totals), position=0, **options) as whole:

        def update(name: str, done: int, total: int | None) -> None:
            with lock:
                if name not in bars:
                    bars[name] = tqdm(desc=name, total=total, position=len(bars) + 1, **options)
                totals[name] = total if total is not None else totals.get(name)
                done_of[name] = done
                for bar, size, now in (
                    (bars[name], totals[name], done),
                    (whole, _sum(totals), sum(done_of.values())),
                ):
                    bar.total = size
                    bar.update(now - bar.n)

        try:
            yield update
        finally:
            for bar in bars.values():
                bar.close()


def _sum(totals: Mapping[str, int | None]) -> int | None:
    """Bytes of all files; None while one is unknown."""
    known = [size for size in totals.values() if size is not None]
    return sum(known) if len(known) == len(totals) else None
