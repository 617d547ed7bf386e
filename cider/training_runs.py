"""Runs from beginning to end: a new one, one that continues, one per seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cider.checkpoints import TrainingCheckpoints
from cider.experiment import Experiment
from cider.processes import Processes
from cider.recipe import Recipe
from cider.run_folder import RunFolder, open_run
from cider.training import Progress, Trainer, TrainingResult
from cider.training_lock import only_training
from mer_data.errors import RunError
from mer_data.files import refuse_overwrite

Tell = Callable[[str], None]
How = Literal["trained", "resumed", "kept"]


@dataclass(frozen=True)
class TrainedRun:
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
        """That the model has not learned; None where it has."""
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


def train_run(recipe: Recipe, folder: Path, *, force: bool, progress: Progress | None = None) -> TrainedRun:
    """Train ``recipe`` into ``folder``.

    Args:
        recipe: resolved.
        folder: of the run.
        force: replace a run that is there.
        progress: as `Trainer.fit` calls it.

    Raises:
        MerDataError: the folder is taken, another process trains there, or something that training needs is
            missing or does not fit.
    """
    processes = Processes.launched()
    run = RunFolder(folder)
    with only_training(folder, processes):
        with processes.together():
            refuse_overwrite(folder, force=force, error=RunError)
            experiment = Experiment.open(recipe)
            trainer = Trainer(experiment, run)
        processes.on_main(lambda: run.start(experiment, replace=force))
        return TrainedRun(folder, recipe, "trained", trainer.fit(progress))


def resume_run(folder: Path, tell: Tell, *, progress: Progress | None = None) -> TrainedRun:
    """Continue the training in ``folder`` after its newest whole checkpoint; a finished one is left as it is.

    Args:
        folder: of the run.
        tell: called with a line that says where it continues, and about every damaged checkpoint.
        progress: as `Trainer.fit` calls it.

    Raises:
        MerDataError: no run, one of another recipe, store or split, one without a whole checkpoint, or one
            that another process trains.
    """
    processes = Processes.launched()
    with processes.together():
        run, experiment = open_run(folder)
        if kept := _kept(run, experiment.recipe, tell):
            return kept
    with only_training(folder, processes):
        with processes.together():
            if kept := _kept(run, experiment.recipe, tell):  # by a training that held the lock until now
                return kept
            trainer = Trainer(experiment, run)
        epoch, dropped = trainer.resume(tell)
        lines = f"{dropped} lines of later epochs were" if dropped > 1 else "1 line of later epochs was"
        told = f"; {lines} dropped from its log." if dropped else "."
        tell(f"{folder} continues after epoch {epoch}{told}")
        return TrainedRun(folder, experiment.recipe, "resumed", trainer.fit(progress))


def train_seeds(
    recipes: Sequence[Recipe], parent: Path, tell: Tell, *, force: bool, progress: Progress | None = None
) -> list[TrainedRun]:
    """`train_runs` of recipes that differ in the seed, each in ``parent``/NAME-seedSEED."""
    folders = [run_folder(recipe, parent) for recipe in recipes]
    return train_runs(list(zip(recipes, folders, strict=True)), tell, force=force, progress=progress)


def train_runs(
    runs: Sequence[tuple[Recipe, Path]], tell: Tell, *, force: bool, progress: Progress | None = None
) -> list[TrainedRun]:
    """Train recipes one after the other.

    A run that is finished is kept, one that is not is resumed, or begun again where it has no checkpoint.

    Args:
        runs: resolved recipes, each with the folder of its run.
        tell: called with a line that says what becomes of a run that is there, and with warnings.
        force: train all from the beginning.
        progress: as `Trainer.fit` calls it.

    Raises:
        RunError: a folder holds a run of another recipe, or something else; nothing was trained then.
        MerDataError: as `train_run` and `resume_run`.
    """
    with Processes.launched().together():
        present = [not force and _is_of(recipe, folder) for recipe, folder in runs]
    done = []
    for (recipe, folder), there in zip(runs, present, strict=True):
        run = RunFolder(folder)
        if there and (run.result_path.is_file() or TrainingCheckpoints(run.checkpoints_folder).exist()):
            done.append(resume_run(folder, tell, progress=progress))
        else:
            if there:
                tell(f"{folder} has no complete epoch: it begins again.")
            done.append(train_run(recipe, folder, force=force or there, progress=progress))
        if done[-1].warning is not None:
            tell(done[-1].warning)
    return done


def run_folder(recipe: Recipe, parent: Path = Path("runs")) -> Path:
    """Where a run of ``recipe`` goes when nothing else is said."""
    return parent / f"{recipe.name}-seed{recipe.seed}"


def _is_of(recipe: Recipe, folder: Path) -> bool:
    """Whether ``folder`` holds a run of ``recipe``; False where it is free.

    Raises:
        RunError: it holds something else.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    _, experiment = open_run(folder)
    if experiment.recipe != recipe:
        raise RunError(
            "the folder holds a run of another recipe",
            where=folder,
            do="Pass --force to replace it, or --out to write elsewhere",
        )
    return True


def _kept(run: RunFolder, recipe: Recipe, tell: Tell) -> TrainedRun | None:
    """``run`` as it is when its training has ended; None while it has not."""
    finished = _result(run)
    if finished is None:
        return None
    tell(f"{run.path} is finished already.")
    return TrainedRun(run.path, recipe, "kept", finished)


def _result(run: RunFolder) -> TrainingResult | None:
    """How the training of ``run`` ended; None while it has not."""
    if not run.result_path.is_file():
        return None
    try:
        return TrainingResult(**json.loads(run.result_path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError("damaged result", where=run.result_path, do="Train again with --force") from error
