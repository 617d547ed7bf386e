"""Runs from beginning to end: a new one, one that continues, one per seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Literal

from cider.recipe.schema import Recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.runs.inputs import asks_for, recipe_difference
from cider.runs.state import FolderState, read_result, refuse_nesting, require_run
from cider.training.distributed import Processes
from cider.training.lock import only_training
from cider.training.trainer import Trainer, TrainingResult
from mer_data.errors import DamagedRunError, RunError, WriteError
from mer_data.progress import Progress, Tell

How = Literal["trained", "resumed", "kept"]
_log = getLogger(__name__)


@dataclass(frozen=True)
class RunOutcome:
    """A finished run.

    Attributes:
        path: its folder.
        recipe: resolved.
        how: "trained" from the beginning, "resumed", or "kept" since it was finished already.
        result: how its training ended.
    """

    path: Path
    recipe: Recipe
    how: How
    result: TrainingResult

    @property
    def warning(self) -> str | None:
        """Warning that the model has not learned; None where it has."""
        if self.result.only_answer is None:
            return None
        model = self.recipe.model
        apart = model.debiases_label and model.classifier_start == "independent"
        return (
            f"Warning: {self.path} has not learned: epoch {self.result.best_epoch} answers"
            f" {self.result.only_answer} to every utterance of validation."
            f" {'Set model.classifier_start=equal, raise' if apart else 'Raise'} training.patience, or choose"
            " another selection.metric or training.learning_rate."
        )


def train_run(
    recipe: Recipe,
    folder: str | Path,
    tell: Tell = _log.warning,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> RunOutcome:
    """Have a finished run of ``recipe`` in ``folder``: train it, continue what is there, or keep it.

    Args:
        recipe: resolved.
        folder: of the run.
        tell: called with a line that says what becomes of a run that is there, and with warnings.
        force: train from the beginning, and replace what run is there.
        progress: as `Trainer.fit` calls it.

    Raises:
        MerDataError: the folder holds something else, another process trains there, or something that
            training needs is missing or does not fit.
    """
    (done,) = train_runs([(recipe, Path(folder))], tell, force=force, progress=progress)
    return done


def resume_run(folder: str | Path, tell: Tell, *, progress: Progress | None = None) -> RunOutcome:
    """Continue the training in ``folder`` after its newest whole checkpoint; a finished one is left as it is.

    Args:
        folder: of the run.
        tell: called with a line that says where it continues, and with warnings.
        progress: as `Trainer.fit` calls it.

    Raises:
        MerDataError: no run, one of another recipe, store or split, one without a whole checkpoint, or one
            that another process trains.
    """
    processes, folder = Processes.launched(), Path(folder)
    with processes.fail_together():
        run = RunFolder(folder)
        kept = _kept(run, run.read_recipe(), tell)
        if kept is None:
            run, experiment = open_run(folder)
    if kept is None:
        with only_training(folder, processes):
            kept = _resume(run, experiment, tell, progress)
    return kept


def train_seeds(
    recipes: Sequence[Recipe],
    parent: str | Path,
    tell: Tell,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> list[RunOutcome]:
    """`train_runs` of recipes that differ in the seed, each in ``parent``/NAME-seedSEED."""
    folders = [run_folder(recipe, Path(parent)) for recipe in recipes]
    return train_runs(list(zip(recipes, folders, strict=True)), tell, force=force, progress=progress)


def train_runs(
    runs: Sequence[tuple[Recipe, str | Path]],
    tell: Tell,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> list[RunOutcome]:
    """Train recipes one after the other.

    A run that is finished is kept, one that is not is resumed, or begun again where it has no checkpoint.

    Args:
        runs: resolved recipes, each with the folder of its run.
        tell: called with a line that says what becomes of a run that is there, and with warnings.
        force: train all from the beginning.
        progress: as `Trainer.fit` calls it.

    Raises:
        RunError: a folder holds a run of another recipe, or something else; nothing was trained then.
        MerDataError: as `resume_run`; or something that training needs is missing or does not fit.
    """
    processes = Processes.launched()
    places = [(recipe, Path(folder)) for recipe, folder in runs]
    with processes.fail_together():
        for recipe, folder in places:
            refuse_nesting(folder)
            if not force:
                _check_free_or_same(recipe, folder)
    done = []
    for recipe, folder in places:
        done.append(_train_or_continue(recipe, folder, tell, force, progress))
        if done[-1].warning is not None:
            tell(done[-1].warning)
    return done


def run_folder(recipe: Recipe, parent: str | Path = Path("runs")) -> Path:
    """Return the default folder of a run of ``recipe``."""
    parent = Path(parent)
    return parent / f"{recipe.name}-seed{recipe.seed}"


def _train_or_continue(
    recipe: Recipe, folder: Path, tell: Tell, force: bool, progress: Progress | None
) -> RunOutcome:
    """One run from whatever is in its folder."""
    processes = Processes.launched()
    with processes.fail_together():
        state = FolderState.read(folder) if not force else None
        if state is not None and state.stage == "finished":
            run = RunFolder(folder)
            if kept := _kept(run, run.read_recipe(), tell):
                return kept
    with only_training(folder, processes):
        with processes.fail_together():
            # Again: another training may have held the lock until now.
            state = FolderState.read(folder) if not force else None
            if state is not None and state.stage in ("unfinished", "finished"):
                run, experiment = open_run(folder)
            else:
                run, experiment = RunFolder(folder), Experiment.open(recipe)
                trainer = Trainer(experiment, run)
        if state is not None and state.stage in ("unfinished", "finished"):
            return _resume(run, experiment, tell, progress)
        if state is not None and state.stage == "no epoch":
            tell(f"{folder} has no complete epoch: it begins again.")
        replace = force or (state is not None and state.stage == "no epoch")
        processes.on_main(lambda: run.start(experiment, replace=replace))
        return RunOutcome(folder, experiment.recipe, "trained", _fit(trainer, run, progress))


def _resume(run: RunFolder, experiment: Experiment, tell: Tell, progress: Progress | None) -> RunOutcome:
    """Continue a training whose lock is held."""
    with Processes.launched().fail_together():
        if kept := _kept(run, experiment.recipe, tell):  # by a training that held the lock until now
            return kept
        trainer = Trainer(experiment, run)
    epoch, dropped = trainer.resume(tell)
    lines = f"{dropped} lines of later epochs were" if dropped > 1 else "1 line of later epochs was"
    told = f"; {lines} dropped from its log." if dropped else "."
    tell(f"{run.path} continues after epoch {epoch}{told}")
    return RunOutcome(run.path, experiment.recipe, "resumed", _fit(trainer, run, progress))


def _fit(trainer: Trainer, run: RunFolder, progress: Progress | None) -> TrainingResult:
    """Train to the end.

    Raises:
        WriteError: the disk is full; the message says what is safe.
    """
    try:
        return trainer.fit(progress)
    except WriteError as error:
        epoch = FolderState.read(run.path).epoch
        safe = f"Epochs 1 to {epoch} are safe" if epoch else "No epoch is complete yet"
        raise WriteError(f"{error} {safe}: give the same command again to go on") from error


def _check_free_or_same(recipe: Recipe, folder: Path) -> None:
    """Raise a RunError where ``folder`` holds something that is no run of ``recipe``."""
    state = FolderState.read(folder)
    if state.stage == "free":
        return
    if state.stage in ("begun", "something else"):
        require_run(folder)
    trained = RunFolder(folder).read_recipe()
    if not asks_for(recipe, trained):
        raise RunError(
            f"{folder} holds {state.told}, by another recipe",
            **recipe_difference(recipe, trained),
            do=f"Go on with that by `cider train --resume {folder}`, pass --force to replace it, or --out to"
            " write elsewhere",
        )


def _kept(run: RunFolder, recipe: Recipe, tell: Tell) -> RunOutcome | None:
    """``run`` as it is when its training has ended; None while it has not."""
    finished = trained_result(run)
    if finished is None:
        return None
    tell(f"{run.path} is finished already.")
    return RunOutcome(run.path, recipe, "kept", finished)


def trained_result(run: RunFolder) -> TrainingResult | None:
    """Return how the training of ``run`` ended; None while it has not.

    Raises:
        DamagedRunError: the file that says so is damaged, or was changed.
    """
    values = read_result(run.path)
    if values is None:
        return None
    try:
        return TrainingResult(**values)
    except TypeError as error:
        raise DamagedRunError(
            "damaged result", where=run.result_path, do="Train again with --force"
        ) from error
