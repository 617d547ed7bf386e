"""``python -m fuzz``: mutations of every kind, and how they ended; exit code 1 unless all are clean."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from fuzz.runner import Tally, table, try_kind
from fuzz.worker import KINDS

SHARES = {
    "csd": 350,
    "pickle": 500,
    "joblib": 300,
    "store": 300,
    "split": 200,
    "statistics": 120,
    "vocabulary": 120,
    "run": 70,
    "resume": 40,
}
"""Mutations of each kind among 2,000; those that train are the fewest."""


@click.command()
@click.option(
    "--rounds", type=click.IntRange(min=1), default=2000, show_default=True, help="Mutations in all."
)
@click.option("--kinds", default=",".join(SHARES), show_default=True, help="Kinds, with commas between them.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all mutations.")
@click.option("--only", type=int, help="Number of the only mutation to try, of the only kind.")
def main(rounds: int, kinds: str, seed: int, only: int | None) -> None:
    """Try mutations of every kind and print how they ended."""
    names = kinds.split(",")
    whole = sum(SHARES[name] for name in names)
    tallies: dict[str, Tally] = {}
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        for name in names:
            number = 1 if only is not None else max(1, round(rounds * SHARES[name] / whole))
            tallies[name] = try_kind(
                name, number, seed, Path(folder), seconds=KINDS[name].seconds, first=only or 0
            )
            for place, state, words in tallies[name].faults:
                print(f"--- {state}: {name}, mutation {place} (--kinds {name} --only {place} --seed {seed})")
                print(words)
            print(f"{name}: {dict(tallies[name].counts)}", file=sys.stderr)
    print("\n".join(table(tallies)))
    print(f"{time.monotonic() - start:.0f} s; numbers in csd, pickle and joblib may change: no checksums")
    sys.exit(1 if any(tally.faults for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
