"""The page of a reproduced table: both numbers, figures, which runs they are of, and how to read them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cider.paper.cells import Cell, row_cells
from cider.paper.curves import draw_curves
from cider.paper.plan import Plan, Sweep, suffix
from cider.paper.run import Measurements
from cider.paper.shown import ShownTable, shown_tables
from cider.paper.tables import tables_folder
from cider.recipe.schema import Recipe
from cider.runs.folder import RunFolder
from cider.scoring.protocols import SweepScores
from cider.training.many_runs import run_folder
from mer_data.files.writing import write_json
from mer_data.reports.page import Report, Section, Table

_DIGEST = len("sha256:") + 12


@dataclass(frozen=True)
class ReproducedTable:
    """A table with our numbers.

    Attributes:
        plan: what was asked for.
        found: what our runs gave.
        parent: folder of the runs.
    """

    plan: Plan
    found: Measurements
    parent: Path

    @property
    def cells(self) -> dict[str, dict[str, Cell]]:
        """By row name and column key."""
        return row_cells(self.plan, self.found, self.plan.columns)

    @property
    def tables(self) -> list[ShownTable]:
        """For a person."""
        return shown_tables(self.plan, self.cells)

    @property
    def title(self) -> str:
        """Number and title of the published table."""
        content = self.plan.table.content
        return f"Table {content.number}: {content.title}"

    @property
    def command(self) -> str:
        """What makes this page again from the same runs."""
        plan = self.plan
        table = plan.table
        packaged = table.folder == tables_folder()
        words = ["cider", "reproduce", table.name if packaged else str(table.folder / f"{table.name}.yaml")]
        if len(plan.columns) < len(table.columns):
            corpora = {s for c in plan.columns for s in (c.setting.trained_on, c.setting.tested_on)}
            words += [word for name in sorted(corpora) for word in ("--dataset", name)]
        words += [] if plan.task is None else ["--task", plan.task]
        words += ["--floors"] if table.floors else []
        if plan.rows != _rows_with_runs(plan):
            words += ["--rows", ",".join(row.name for row in plan.rows)]
        words += ["--seeds", ",".join(map(str, plan.seeds))]
        words += [word for override in plan.overrides for word in ("--set", override)]
        return shlex.join([*words, "--out", str(self.parent)])

    def intro(self) -> list[str]:
        """What the numbers are."""
        plan, source = self.plan, self.plan.table.shared.source
        lines = [
            f'Published: {source.authors}, "{source.title}" (arXiv {source.arxiv}), by the protocol of its'
            " authors, which chooses checkpoint and tau on the test fold. Their numbers stand beside ours by"
            " the protocol paper; strict is what can be believed."
        ]
        if any(column.place != "training" for column in plan.columns):
            lines.append(
                f"Ours: {self._over_seeds()}."
                " strict: checkpoint and tau chosen on validation, class means of training. paper: from the"
                " same predictions the best tau for every metric, rate and seed on the test labels, class"
                " means of test; the checkpoint is still the one that validation chose."
            )
        if plan.overrides:
            lines.append(
                f"Every run of ours was changed by {', '.join(plan.overrides)}, so it is not the paper's"
                " setting."
            )
        return lines

    def _over_seeds(self) -> str:
        seeds = ", ".join(map(str, self.plan.seeds))
        if len(self.plan.seeds) == 1:
            return f"one training run, seed {seeds}"
        return f"mean ± standard deviation over training seeds {seeds}"

    def notes(self) -> list[str]:
        """The table's notes, then ours."""
        return [*self.plan.table.content.notes, *self._cost_notes(), *self._undefined(), *self._absent()]

    def general_notes(self) -> list[str]:
        """What holds for every table."""
        return [
            *self.plan.table.shared.notes,
            "Differences are ours - published in the unit of the table. They are of single published numbers"
            " without an interval; `cider compare` tells whether two runs of ours differ.",
            "Our numbers are of the stores and splits listed above. Other features or another split than the"
            " paper's are another experiment.",
            "Single rates and their AUILC are of one sweep with one strict tau; complete data alone chooses"
            " its own.",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plan = self.plan
        return {
            "table": plan.table.name,
            "number": plan.table.content.number,
            "title": plan.table.content.title,
            "source": plan.table.shared.source.model_dump(),
            "command": self.command,
            "overrides": list(plan.overrides),
            "seeds": list(plan.seeds),
            "columns": [
                {"key": c.key, "pattern": c.pattern, "at": c.place, "metric": c.metric, "unit": c.unit}
                for c in plan.columns
            ],
            "rows": [
                {
                    "row": name,
                    "published_only": not any(cell.has_run for cell in own.values()),
                    "cells": {key: cell.to_json() for key, cell in own.items()},
                }
                for name, own in self.cells.items()
            ],
            "runs": [_plain(facts) for facts in self._run_facts()],
            "notes": self.notes(),
        }

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``table.json``, ``summary.md``, ``summary.html`` and the figures; the page last."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "table.json", self.to_json())
        runs = pd.DataFrame(self._run_facts())
        tables = [Table(f"{shown.caption}", shown.frame) for shown in self.tables]
        page = Report(
            title=self.title,
            intro=self.intro(),
            sections=[
                Section("Published and ours", tables=tables),
                *self._figures(folder),
                Section(
                    "What was run",
                    paragraphs=[self.command],
                    tables=[] if runs.empty else [Table("Runs of ours, and digests of their inputs.", runs)],
                ),
                Section("Notes", [*self.notes(), *self.general_notes()]),
            ],
        )
        return [folder / "table.json", *page.write(folder)]

    def _figures(self, folder: Path) -> list[Section]:
        figures = draw_curves(self.plan, self.found, folder)
        return [Section("Against the missing rate", figures=figures)] if figures else []

    def _run_facts(self) -> list[dict[str, str]]:
        """One line for every run that gave a number."""
        return [
            _facts(recipe, run_folder(recipe, self.parent), self.found.scores[recipe.name, recipe.seed])
            for planned in self.plan.planned
            for recipe in planned.recipes
            if (recipe.name, recipe.seed) in self.found.scores
        ]

    def _cost_notes(self) -> Iterator[str]:
        for name, cost in self.found.costs.items():
            notes = [] if cost.main_memory is None else [f"{cost.main_memory:.1f} GiB of main memory at most"]
            notes += ["no GPU, so no GPU memory"] if cost.gpu_memory is None else []
            yield (
                f"{name}, measured on {cost.device} with {cost.threads} torch threads and batches of"
                f" {cost.batch_size}: {cost.parameters:,} parameters without the text encoder, {cost.maci:,}"
                f" of them MACI; {cost.epoch_time:.1f} s per epoch, extrapolated from a few steps"
                f"{''.join(f'; {note}' for note in notes)}. Our numbers are means over the tasks."
            )

    def _undefined(self) -> Iterator[str]:
        """What the scores say about empty classes, once per run."""
        for (name, seed), sweeps in self.found.scores.items():
            for note in dict.fromkeys(note for scores in sweeps.values() for note in scores.notes):
                yield f"{name}, seed {seed}: {note}"

    def _absent(self) -> Iterator[str]:
        for line in self.found.absent:
            yield f"Not in our numbers: {line}"


def report_folder(plan: Plan) -> Path:
    """Where the page of a plan goes."""
    return Path("reports") / f"{plan.table.name}{suffix(plan.overrides)}"


def _rows_with_runs(plan: Plan) -> tuple[Any, ...]:
    table = plan.table
    return tuple(row for row in table.rows if any(table.runs(row, column) for column in plan.columns))


def _facts(recipe: Recipe, folder: Path, sweeps: Mapping[Sweep, SweepScores]) -> dict[str, str]:
    run = RunFolder(folder)
    provenance = run.read_provenance()
    result = json.loads(run.result_path.read_text(encoding="utf-8")) if run.result_path.is_file() else {}
    taus = [f"{_named(scores)}: {'none' if scores.tau is None else scores.tau}" for scores in sweeps.values()]
    return {
        "Run": folder.name,
        "Epoch kept": f"{result.get('best_epoch', '?')} of {result.get('epochs', '?')}",
        "Strict tau": "; ".join(taus),
        "Recipe": str(provenance.get("recipe_digest"))[:_DIGEST],
        "Store": str(provenance.get("store_digest"))[:_DIGEST],
        "Split": f"{recipe.data.split} {str(provenance.get('split_digest'))[:_DIGEST]}",
    }


def _named(scores: SweepScores) -> str:
    return "complete data" if scores.rates == (0.0,) else scores.plan.pattern


def _plain(facts: dict[str, str]) -> dict[str, str]:
    return {key.lower().replace(" ", "_"): value for key, value in facts.items()}
