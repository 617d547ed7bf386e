"""Doing what a plan needs: training or resuming runs, predicting what is not predicted, scoring."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cider.evaluation.evaluate import score_run
from cider.paper.costs import Cost, load_cost, measure_cost
from cider.paper.missing_inputs import missing_inputs, missing_targets
from cider.paper.plan import Plan, PlannedRun, Sweep
from cider.paper.same_training import take_weights
from cider.recipe.schema import Recipe, load_recipe
from cider.runs.folder import RunFolder
from cider.runs.inputs import asks_for, recipe_difference
from cider.runs.state import FolderState
from cider.scoring.protocols import SweepScores
from cider.training.launch import refuse_launcher
from cider.training.many_runs import run_folder, train_seeds
from mer_data.errors import DamagedRunError, RunError
from mer_data.progress import Progress, Tell

State = Literal["finished", "to resume", "missing"]
_ELSEWHERE = "Move it away, or pass --out to keep these runs elsewhere"


@dataclass(frozen=True)
class Watch:
    """Who is told what happens.

    Attributes:
        tell: called with a line.
        epochs: as ``Trainer.fit`` calls it.
        predictions: called with the conditions of a sweep predicted and to predict.
    """

    tell: Tell
    epochs: Progress | None = None
    predictions: Progress | None = None


@dataclass(frozen=True)
class RunStatus:
    """A run that a table needs, and what is there of it. ``folder`` is its own."""

    name: str
    task: str
    seed: int
    folder: Path
    state: State


@dataclass(frozen=True)
class Survey:
    """What is there before anything is done.

    Attributes:
        runs: those to train, finished or not.
        costs: names of the runs whose cost is measured, and whether it is saved.
        missing: lines on missing inputs.
    """

    runs: tuple[RunStatus, ...]
    costs: dict[str, bool]
    missing: tuple[str, ...]


@dataclass
class Measurements:
    """What our runs gave.

    Attributes:
        scores: by run name and seed, then by evaluation.
        costs: by run name.
        absent: what is not there, told in lines; filled where nothing is trained.
    """

    scores: dict[tuple[str, int], dict[Sweep, SweepScores]] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


def survey(plan: Plan, parent: str | Path) -> Survey:
    """Look at the runs in ``parent`` and at the inputs in the workspace.

    Raises:
        RunError: another run is in the way.
    """
    parent = Path(parent)
    trained = [planned for planned in plan.planned if planned.sweeps]
    runs = tuple(
        RunStatus(recipe.name, recipe.task, recipe.seed, run_folder(recipe, parent), _state(recipe, parent))
        for planned in trained
        for recipe in planned.recipes
    )
    costs = {one.run.name: load_cost(one.recipes[0], parent) is not None for one in plan.planned if one.costs}
    targets = (sweep.on for one in plan.planned for sweep in one.sweeps if sweep.on is not None)
    missing = [*missing_inputs(one.recipes[0] for one in plan.planned), *missing_targets(targets)]
    return Survey(runs, costs, tuple(dict.fromkeys(missing)))


def reproduce(plan: Plan, parent: str | Path, watch: Watch, *, report_only: bool = False) -> Measurements:
    """Train or resume what is missing in ``parent``, predict what is not predicted, and score everything.

    Args:
        plan: what is asked for.
        parent: folder of the runs.
        watch: who is told.
        report_only: train, measure and predict nothing; what is absent is noted.

    Raises:
        RunError: another run is in the way, or inputs are missing; nothing was trained then.
        MerDataError: as training and evaluation.
    """
    parent = Path(parent)
    refuse_launcher(
        "reproducing is not started by a launcher",
        do="Train single runs with `torchrun ... -m cider train`; they are used then",
    )
    if report_only:
        return _collect(plan, parent)
    missing = survey(plan, parent).missing
    if missing:
        raise RunError(
            f"{len(missing)} inputs are missing for {plan.table.name}: {' '.join(missing)}",
            do="Limit the table with --dataset or --rows; --dry-run lists what is there",
        )
    done = Measurements()
    for number, planned in enumerate(plan.planned, start=1):
        watch.tell(f"Run {number} of {len(plan.planned)}: {planned.run.name}")
        if planned.costs:
            recipe = planned.recipes[0]
            done.costs[planned.run.name] = load_cost(recipe, parent) or measure_cost(recipe, parent)
        if planned.sweeps:
            _share_weights(planned, plan, parent, watch.tell)
            train_seeds(planned.recipes, parent, watch.tell, force=False, progress=watch.epochs)
        for recipe in planned.recipes:
            for sweep in planned.sweeps:
                folder = run_folder(recipe, parent)
                scores = score_run(folder, sweep.choices, on=sweep.on, progress=watch.predictions)
                done.scores.setdefault((recipe.name, recipe.seed), {})[sweep] = scores
    return done


def _share_weights(planned: PlannedRun, plan: Plan, parent: Path, tell: Tell) -> None:
    """Have what another run of the table trained already as a finished run."""
    others = [recipe for one in plan.planned if one.sweeps for recipe in one.recipes]
    for recipe in planned.recipes:
        folder = run_folder(recipe, parent)
        if _state(recipe, parent) == "missing":
            taken = take_weights(recipe, folder, [run_folder(one, parent) for one in others])
            if taken is not None:
                tell(f"{folder} trains as {taken} did and takes its weights.")


def _collect(plan: Plan, parent: Path) -> Measurements:
    """What is saved."""
    done = Measurements()
    for planned in plan.planned:
        if planned.costs:
            cost = load_cost(planned.recipes[0], parent)
            if cost is None:
                done.absent.append(f"{planned.run.name}: the cost of training is not measured")
            else:
                done.costs[planned.run.name] = cost
        for recipe in planned.recipes if planned.sweeps else ():
            state = _state(recipe, parent)
            if state != "finished":
                done.absent.append(f"{run_folder(recipe, parent)}: {_TOLD[state]}")
                continue
            for sweep in planned.sweeps:
                try:
                    folder = run_folder(recipe, parent)
                    scores = score_run(folder, sweep.choices, on=sweep.on, report_only=True)
                except DamagedRunError:
                    raise
                except RunError as error:
                    done.absent.append(str(error))
                else:
                    done.scores.setdefault((recipe.name, recipe.seed), {})[sweep] = scores
    return done


_TOLD: dict[State, str] = {"missing": "not trained", "to resume": "training has not ended"}


def _state(recipe: Recipe, parent: Path) -> State:
    """What is there of a run.

    Raises:
        RunError: a run of another recipe, or something that is no run.
    """
    folder = run_folder(recipe, parent)
    state = FolderState.read(folder)
    if state.stage == "free":
        return "missing"
    if state.stage in ("begun", "something else"):
        raise RunError("no run, but something else is in the way", where=folder, do=_ELSEWHERE)
    other = load_recipe(RunFolder(folder).recipe_path)
    if not asks_for(recipe, other):
        raise RunError(
            "a run of another recipe is in the way",
            where=folder,
            **recipe_difference(recipe, other),
            do=_ELSEWHERE,
        )
    if state.stage == "finished":
        return "finished"
    return "to resume" if state.stage == "unfinished" else "missing"
