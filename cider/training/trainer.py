"""Training: epochs of steps, selection on validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from logging import getLogger

import torch
from torch import Tensor

from cider.model.cider import CIDer
from cider.prediction.model_card import save_model_card
from cider.runs.checkpoints import Checkpoint, TrainingCheckpoints, link_or_copy
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.runs.state import seal
from cider.training.distributed import Processes
from cider.training.one_step import OneStep
from cider.training.precision import choose_precision
from cider.training.state import (
    RandomSources,
    check_conditions,
    load_optimiser,
    optimiser_numbers,
    optimiser_tensors,
    training_conditions,
)
from cider.training.step import TrainingStep
from cider.training.step_parts import LOADING, step_part
from cider.training.two_step import TwoStep
from cider.training.validation import Validation
from mer_data.errors import RunError
from mer_data.progress import Progress, Tell
from mer_data.torch_data.batches import Batch, length_grouped, load_batches

_log = getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """End of a training.

    Attributes:
        best_epoch: 1-based epoch whose weights are kept.
        best_score: its validation score (higher is better; the loss counts negatively).
        epochs: epochs run.
        reason: "patience" or "max_epochs".
        answers: share of each class among the answers on validation at the best epoch; empty of a run that
            was trained before they were kept.
    """

    best_epoch: int
    best_score: float
    epochs: int
    reason: str
    answers: dict[str, float] = field(default_factory=dict)

    @property
    def only_answer(self) -> str | None:
        """The class that all of validation is answered with: the model has not learned. Else None."""
        return next((name for name, share in self.answers.items() if share == 1), None)


@dataclass(frozen=True)
class EpochRecord:
    """One line of the log.

    Attributes:
        epoch: 1-based.
        seconds: of training and validation.
        train: mean of every loss over the training utterances.
        valid: metrics and loss of the validation fold.
        score: what the selection looks at; higher is better.
        answers: share of each class among the answers on validation.
    """

    epoch: int
    seconds: float
    train: dict[str, float]
    valid: dict[str, float]
    score: float
    answers: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Trains one model; every choice is made on the validation fold."""

    def __init__(self, experiment: Experiment, run: RunFolder, *, resumable: bool = True) -> None:
        """Build the model with its statistics, the optimiser and the seeded generators.

        Args:
            experiment: what to train on.
            run: where the log, the checkpoints and the result go.
            resumable: save a training checkpoint every epoch, as large as three models; without it only the
                best weights are kept.

        Raises:
            MerDataError: class statistics are missing or of something else.
        """
        recipe = experiment.recipe
        self._experiment, self._recipe, self._run = experiment, recipe, run
        self._processes = Processes.launched()
        self.precision = choose_precision(recipe.training.mixed_precision, self._processes.device)
        self._random = RandomSources(recipe.seed, self._processes)
        self.model = experiment.starting_model()
        self._step = self._training_step()
        self._batches = length_grouped(
            experiment.store, experiment.rows["train"], recipe.training.batch_size, self._random.order
        )
        self._validation = Validation(self.model, experiment, self._processes)
        self._checkpoints, self._resumable = TrainingCheckpoints(run.checkpoints_folder), resumable
        self._resumed: Checkpoint | None = None
        self._epoch, self._best_epoch, self._best_score = 0, 0, -math.inf
        self._best_answers: dict[str, float] = {}

    def fit(
        self, progress: Progress | None = None, *, on_epoch: Callable[[EpochRecord], None] | None = None
    ) -> TrainingResult:
        """Train until validation has not improved for ``patience`` epochs.

        Args:
            progress: called after every step with the step, the steps per epoch and a short text.
            on_epoch: called after every epoch's validation, on the main process. What it raises ends the
                training, without a result.

        Raises:
            RunError: a loss is not finite, or no epoch had a score.
        """
        devices = [self._processes.device] if self._processes.device.type == "cuda" else []
        # Dropout draws from torch's global generators; the caller's state is given back.
        with torch.random.fork_rng(devices=devices):
            if self._resumed is None:
                self._random.seed_global()
            else:
                self._random.load(self._resumed.tensors("random"))
            while (reason := self._reason_to_stop()) is None:
                record = self._run_epoch(progress)
                self._keep(record)
                if on_epoch is not None:
                    self._processes.on_main(partial(on_epoch, record))
        if self._best_epoch == 0:
            metric = self._recipe.selection.metric
            advice = "Choose another selection.metric"
            self._processes.stop(
                RunError(f"no epoch had a validation {metric}", where=self._run.path, do=advice)
            )
        result = TrainingResult(self._best_epoch, self._best_score, self._epoch, reason, self._best_answers)
        self._processes.on_main(lambda: self._finish(result))
        return result

    def train_step(self, batch: Batch, num_real: int | None = None) -> dict[str, float]:
        """Train on one batch of this process's device, see `TrainingStep.step`; its losses."""
        return self._step.step(batch, num_real)

    def resume(self, warn: Tell = _log.warning) -> tuple[int, int]:
        """Go back to the newest whole checkpoint; `fit` then continues as if nothing had happened.

        Args:
            warn: called with a line about every checkpoint that is damaged, and about what is not as it was,
                on the main process.

        Returns:
            The epoch it is of, and how many lines of later epochs were dropped from the log.

        Raises:
            RunError: there is none, or it is of another kind of machine.
        """
        newest = self._processes.on_main(lambda: self._checkpoints.newest(warn).epoch) or 0
        checkpoint = self._checkpoints.open(int(self._processes.broadcast(newest)))
        numbers = checkpoint.numbers
        found = training_conditions(self._processes, self.precision)
        tell = warn if self._processes.is_main else _log.debug
        with self._processes.fail_together():
            check_conditions(numbers["conditions"], found, self._run.path, tell)
        try:
            self.model.load_state_dict(checkpoint.tensors("weights"))
            optimiser = self._step.optimiser
            load_optimiser(optimiser, self.model, checkpoint.tensors("optimiser"), numbers["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise RunError(
                "the checkpoint is of another model than recipe.yaml says", where=checkpoint.folder
            ) from error
        self._step.scaler.load_state_dict(numbers["scaler"])
        self._epoch, self._best_epoch = checkpoint.epoch, numbers["best_epoch"]
        self._best_score = -math.inf if numbers["best_score"] is None else numbers["best_score"]
        self._best_answers = numbers.get("best_answers", {})
        self._resumed = checkpoint
        return self._epoch, self._processes.on_main(lambda: self._go_back(checkpoint)) or 0

    def _training_step(self) -> TrainingStep:
        """Two-step self-distillation is CIDer's own."""
        kind: type[TrainingStep] = TwoStep if isinstance(self.model, CIDer) else OneStep
        return kind(
            self.model,
            self._experiment,
            self._processes,
            precision=self.precision,
            missing=self._random.missing,
            run_path=self._run.path,
        )

    def _run_epoch(self, progress: Progress | None) -> EpochRecord:
        started = time.perf_counter()
        self._epoch += 1
        losses = self._train_epoch(progress)
        valid = self._validation.measure()
        score = self._processes.broadcast(valid.score)
        seconds = round(time.perf_counter() - started, 3)
        return EpochRecord(self._epoch, seconds, losses, valid.values, score, valid.answers)

    def _train_epoch(self, progress: Progress | None) -> dict[str, float]:
        """One pass over the training fold; mean of every loss over the utterances."""
        self.model.train()
        whole = list(self._batches)
        shares = [self._processes.shard_or_dummy(positions) for positions in whole]
        rows, workers = self._experiment.rows["train"], self._recipe.training.num_workers
        own = [positions for positions, _ in shares]
        batches = iter(load_batches(self._experiment.store, rows, own, num_workers=workers))
        totals: dict[str, float] = {}
        seen = 0
        for step, (positions, (_, num_real)) in enumerate(zip(whole, shares, strict=True), start=1):
            with self._processes.fail_together(), step_part(LOADING):
                batch = next(batches).to(self._processes.device)
            losses = self.train_step(batch, num_real)
            seen += num_real
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value * len(positions)
            if progress is not None:
                mean = next(iter(totals.values())) / max(seen, 1)
                progress(step, len(whole), f"epoch {self._epoch}, loss {mean:.3f}")
        sums = self._processes.sum(list(totals.values()))
        return {name: total / len(rows) for name, total in zip(totals, sums, strict=True)}

    def _reason_to_stop(self) -> str | None:
        settings = self._recipe.training
        if self._epoch - self._best_epoch >= settings.patience:
            return "patience"
        return "max_epochs" if self._epoch >= settings.max_epochs else None

    def _keep(self, record: EpochRecord) -> None:
        """Log the epoch and save what it takes to go on from here."""
        improved = record.score > self._best_score
        if improved:
            self._best_epoch, self._best_score = record.epoch, record.score
            self._best_answers = record.answers
        random = self._random.tensors() if self._resumable else {}

        def write() -> None:
            self._run.log(asdict(record))
            if improved:
                self._run.save_weights(self.model)
            if self._resumable:
                self._save_checkpoint(random, improved)

        self._processes.on_main(write)

    def _save_checkpoint(self, random: dict[str, Tensor], improved: bool) -> None:
        best = self._run.checkpoint_path
        tensors = {"random": random, "optimiser": optimiser_tensors(self._step.optimiser, self.model)}
        if not improved:
            tensors["weights"] = self.model.state_dict()
        self._checkpoints.save(
            self._epoch,
            tensors,
            {
                "best_epoch": self._best_epoch,
                "best_score": self._best_score if self._best_epoch else None,
                "best_answers": self._best_answers,
                "conditions": training_conditions(self._processes, self.precision),
                "optimiser": optimiser_numbers(self._step.optimiser),
                "scaler": self._step.scaler.state_dict(),
            },
            files=({"best": best} if self._best_epoch else {}) | ({"weights": best} if improved else {}),
        )

    def _go_back(self, checkpoint: Checkpoint) -> int:
        """Make the run's best weights and log those of a checkpoint; the number of log lines dropped."""
        best = checkpoint.file("best")
        if best is None:
            self._run.checkpoint_path.unlink(missing_ok=True)
        else:
            link_or_copy(best, self._run.checkpoint_path)
        return self._run.cut_log(checkpoint.epoch)

    def _finish(self, result: TrainingResult) -> None:
        save_model_card(self._run, self._experiment, self.model)
        seal(self._run.path, asdict(result))
        self._checkpoints.clear()
