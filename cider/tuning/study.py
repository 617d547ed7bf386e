"""Tuning: trials over the paper's space, scored on validation, by any number of workers of one study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import optuna
import torch
from optuna.exceptions import OptunaError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from cider.recipe.schema import Recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.launch import refuse_launcher
from cider.training.trainer import EpochRecord, Trainer
from cider.tuning.space import TrialSeededTPE, search_space, with_values
from cider.tuning.storage import (
    MARK_S,
    heartbeat,
    is_alive,
    is_unmarked,
    open_storage,
    quiet_optuna,
    sqlite_url,
    storage_errors,
)
from mer_data.errors import RunError, WriteError
from mer_data.files.writing import is_abandoned, process_mark, sha256_text
from mer_data.progress import Tell

STARTUP_TRIALS = 5
"""Trials that must have ended before one is pruned."""
WARMUP_EPOCHS = 5
"""Epochs in which no trial is pruned."""
MESSAGE, SURPLUS, BEST_EPOCH = "message", "surplus", "best_epoch"
"""Attributes of a trial: why it failed, that it was one too many and not trained, the epoch of its score."""
_ORIGIN, _TRIAL = "origin", ".trial-"
_FAILURES = (RunError, torch.cuda.OutOfMemoryError)


def state_of(trial: FrozenTrial) -> str:
    """Return what became of a trial: running, complete, pruned, failed, interrupted or surplus."""
    if trial.state != TrialState.FAIL:
        return trial.state.name.lower()
    if SURPLUS in trial.user_attrs:
        return "surplus"
    return "failed" if MESSAGE in trial.user_attrs else "interrupted"


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count towards the number asked for: not those interrupted, nor surplus ones."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if state_of(trial) in ("running", "complete", "pruned", "failed")]


class Tuning:
    """One worker of a study."""

    def __init__(
        self,
        recipe: Recipe,
        folder: str | Path,
        *,
        name: str,
        storage: str | None = None,
        seed: int | None = None,
        fixed: Collection[str] = (),
    ) -> None:
        """Open the data and join the study; the first worker makes it.

        Args:
            recipe: resolved; every trial starts from it.
            folder: of the study; trials are trained inside, and removed.
            name: of the study.
            storage: URL, or ``journal:PATH``; default: an SQLite file in the folder.
            seed: of the search; default: the recipe's, which stays the seed of every training.
            fixed: keys of the recipe that are not searched.

        Raises:
            MerDataError: something that training needs is missing, the storage cannot be reached, or the
                study is of something else.
        """
        folder = Path(folder)
        refuse_launcher("tuning is not started by a launcher", do="Start the same command several times")
        self.folder = folder
        self._first_seen: dict[int, float] = {}
        self._space = search_space(recipe, fixed)
        experiment = Experiment.open(recipe)
        self.recipe = experiment.recipe  # with the split named, also where it was the only one
        # Nothing is chosen on the test fold, so it is not even there.
        folds = {fold: rows for fold, rows in experiment.rows.items() if fold != "test"}
        self._experiment = replace(experiment, rows=folds)
        if storage is None:
            folder.mkdir(parents=True, exist_ok=True)
        self.storage = storage or sqlite_url(folder / "study.db")
        seed = recipe.seed if seed is None else seed
        with quiet_optuna(), storage_errors(self.storage):
            self.study = join_study(open_storage(self.storage), name, seed, self._origin(seed))

    def work(self, trials: int, tell: Tell, *, timeout: float | None = None) -> None:
        """Run trials until the study has ``trials``, those of other workers included.

        Args:
            trials: how many the study shall have in the end.
            tell: called with a line about every trial that ended.
            timeout: seconds after which no trial is begun.

        Raises:
            RunError: the storage was lost.
            WriteError: the disk is full; the trial does not count.
            MerDataError: something that training needs is missing.
        """
        started = monotonic()
        with quiet_optuna(), storage_errors(self.storage):
            while timeout is None or monotonic() - started < timeout:
                self._close_interrupted(tell)
                if len(counted(self.study)) >= trials:
                    if not any(map(is_unmarked, self._running())):
                        break
                    sleep(0.2)  # a trial that has just begun gets its mark, or its worker is found dead
                    continue
                self._run_trial(self.study.ask(self._space), trials, tell)

    def _run_trial(self, trial: Trial, trials: int, tell: Tell) -> None:
        """Train one trial and record what became of it."""
        before = [one for one in counted(self.study) if one.number < trial.number]
        if len(before) >= trials:  # another worker took the last place at the same moment
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        try:
            with heartbeat(trial):
                score = self._train(trial)
            self.study.tell(trial, score)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except UpdateFinishedTrialError:
            tell(f"Trial {trial.number} gave no sign for too long; another worker has given it up.")
            return
        except RunError as error:
            trial.set_user_attr(MESSAGE, str(error))
            self.study.tell(trial, state=TrialState.FAIL)
        except BaseException:
            with suppress(SQLAlchemyError, OptunaError):  # what ended the trial is what is told
                self.study.tell(trial, state=TrialState.FAIL)
            raise
        tell(self._line(self.study.get_trials(deepcopy=False)[trial.number]))

    def _train(self, trial: Trial) -> float:
        """The validation score of the trial's best epoch.

        Raises:
            optuna.TrialPruned: the trial is worse than half of the others at the same epoch.
            RunError: a loss is not finite, no epoch had a score, or the device has too little memory.
            WriteError: the disk is full.
        """
        experiment = replace(self._experiment, recipe=with_values(self.recipe, trial.params))
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(
            dir=self.folder, prefix=f"{_beginning(trial.number)}{process_mark()}-"
        ) as folder:
            run = RunFolder(Path(folder))
            run.start(experiment)
            try:
                trainer = Trainer(experiment, run, resumable=False)
                result = trainer.fit(on_epoch=lambda record: judge(trial, record))
            except _FAILURES as error:  # told without the folder, which is gone in a moment
                raise RunError(str(error).replace(f" in {folder}", "")) from error
            except WriteError as error:
                raise WriteError(
                    f"{error} The trials that have ended are safe: give the same command again to go on"
                ) from error
        trial.set_user_attr(BEST_EPOCH, result.best_epoch)
        return result.best_score

    def _close_interrupted(self, tell: Tell) -> None:
        """Trials of workers that are no more become failed ones without a message, and are repeated."""
        for left in self.folder.glob(f"{_TRIAL}*"):
            if is_abandoned(left.name.removeprefix(_TRIAL).partition("-")[2].rpartition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        for trial in self._running():
            # A worker that dies between beginning a trial and marking it leaves only time to tell by; it is
            # measured by our own clock: that of another machine may be wrong.
            seen_for = monotonic() - self._first_seen.setdefault(trial.number, monotonic())
            if not is_alive(trial) or (is_unmarked(trial) and seen_for > MARK_S):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                for left in self.folder.glob(f"{_beginning(trial.number)}*"):
                    shutil.rmtree(left, ignore_errors=True)
                tell(f"Trial {trial.number} was interrupted; another takes its place.")

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _line(self, trial: FrozenTrial) -> str:
        if trial.state == TrialState.FAIL:
            return f"Trial {trial.number} failed: {trial.user_attrs[MESSAGE]}"
        if trial.value is None:
            return f"Trial {trial.number} was {state_of(trial)}."
        scored = f"validation {self.recipe.selection.metric} {abs(trial.value):.4f}"
        if trial.state == TrialState.PRUNED:
            return f"Trial {trial.number} was pruned after epoch {trial.last_step} with {scored}."
        return f"Trial {trial.number}: {scored}."

    def _origin(self, seed: int) -> dict[str, Any]:
        """Return what two workers of one study must agree on."""
        content = {"recipe": self.recipe.model_dump(mode="json"), "searched": sorted(self._space)}
        return {
            "recipe": sha256_text(json.dumps(content, sort_keys=True)),
            "store": self._experiment.store.content_digest,
            "split": self._experiment.split.digest,
            "seed": seed,
        }


def _beginning(number: int) -> str:
    """Return how the name of a trial's temporary folder begins."""
    return f"{_TRIAL}{number:05d}-"


def judge(trial: Trial, record: EpochRecord) -> None:
    """Report an epoch's score.

    Raises:
        optuna.TrialPruned: its best score so far is below the median of the others' at this epoch.
    """
    trial.report(record.score, record.epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def join_study(storage: BaseStorage, name: str, seed: int, origin: Mapping[str, Any]) -> optuna.Study:
    """The study ``name``, made where it does not exist.

    Args:
        storage: where it is.
        name: of the study.
        seed: of the search.
        origin: what every worker of it must agree on, by name; kept with the study.

    Raises:
        RunError: the study is of something else.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        sampler=TrialSeededTPE(seed),
        pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_EPOCHS + 1),
        direction="maximize",
        load_if_exists=True,
    )
    if _ORIGIN not in study.user_attrs and not study.get_trials(deepcopy=False):
        study.set_user_attr(_ORIGIN, dict(origin))
    recorded = study.user_attrs.get(_ORIGIN, {})
    for what, value in origin.items():
        if recorded.get(what) != value:
            raise RunError(
                f"study {name!r} was started with another {what}",
                found=value,
                expected=recorded.get(what, "a study made by `cider tune`"),
                do="Start another with --study NAME, or give what this one was started with",
            )
    return study
