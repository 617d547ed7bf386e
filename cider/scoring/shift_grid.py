"""The runs of a shift curve: every recipe has one per severity and seed.

Letters: L severities, G seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cider.scoring.groups import ScoredRun, group_by_recipe
from mer_data.errors import RunError
from mer_data.splits.series import SeriesSplit, as_series

_OF_THE_SPLIT = ("data.split", "split")

Grid = tuple[tuple[ScoredRun, ...], ...]
"""Runs by severity and seed (L, G)."""


@dataclass(frozen=True)
class ShiftedRun:
    """A scored run and the split that it was trained and tested on."""

    run: ScoredRun
    split: SeriesSplit


def several_severities(splits: Sequence[SeriesSplit]) -> tuple[SeriesSplit, ...]:
    """The splits by rising severity, each once.

    Raises:
        RunError: they have a single severity.
        SplitError: they are of different series.
    """
    series = as_series(splits)
    if len(series) < 2:
        raise RunError(
            "a curve needs two severities or more",
            found=f"severity {series[0].severity:g} alone",
            do="Take other splits of the series too, or compare runs of one split with `cider compare`",
        )
    return series


def run_grids(by_level: Sequence[Sequence[ScoredRun]], levels: Sequence[float]) -> dict[str, Grid]:
    """The runs of every recipe by severity and seed.

    Args:
        by_level: runs of every severity.
        levels: the severities, rising.

    Raises:
        RunError: two runs of one recipe, split and seed, or a recipe lacks one.
    """
    level_of = {run.path: level for level, some in zip(levels, by_level, strict=True) for run in some}
    grids: dict[str, Grid] = {}
    every_run = [run for some in by_level for run in some]
    for label, members in group_by_recipe(every_run, but_for=_OF_THE_SPLIT).items():
        found: dict[tuple[float, int], ScoredRun] = {}
        for run in members:
            key = level_of[run.path], run.seed
            if key in found:
                raise RunError(
                    f"{run.path} and {found[key].path} are trained by one recipe on one split with one seed",
                    found=f"severity {key[0]:g}, seed {key[1]}",
                    do="Name one of them",
                )
            found[key] = run
        seeds = sorted({seed for _, seed in found})
        missing = [
            f"seed {seed} at severity {level:g}"
            for level in levels
            for seed in seeds
            if (level, seed) not in found
        ]
        if missing:
            raise RunError(
                f"{label} lacks runs of the grid severity x seed",
                found=f"no run of {'; '.join(missing)}",
                do="Train them with `cider shift RECIPE --seeds`, or leave that seed out everywhere",
            )
        grids[label] = tuple(tuple(found[level, seed] for seed in seeds) for level in levels)
    return grids
