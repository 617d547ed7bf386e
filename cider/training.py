"""Two-step self-distillation (paper section III-D): the complete view, then the incomplete one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from cider import objectives
from cider.evaluation.metrics import scores
from cider.evaluation.predictor import FACTUAL, FoldPredictor
from cider.experiment import Experiment
from cider.model import CausalHead, CIDer, DistillationOutput, parameter_groups
from cider.run_folder import RunFolder
from mer_data.batches import Batch, make_loader
from mer_data.errors import RunError
from mer_data.files import write_json
from mer_data.missing import Positions, Removed, apply, draw, random_rates, rmfm


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        best_epoch: 1-based epoch whose weights are kept.
        best_score: its validation score (higher is better; the loss counts negatively).
        epochs: epochs run.
        reason: "patience" or "max_epochs".
    """

    best_epoch: int
    best_score: float
    epochs: int
    reason: str


class Trainer:
    """Trains one model; every choice is made on the validation fold."""

    def __init__(self, experiment: Experiment, run: RunFolder) -> None:
        """Build the model with its statistics, the optimiser and the seeded generators.

        Raises:
            MerDataError: class statistics are missing or of something else.
        """
        recipe = experiment.recipe
        settings = recipe.training
        self._experiment, self._recipe, self._run = experiment, recipe, run
        self._accelerator = Accelerator(mixed_precision=settings.mixed_precision)
        model = experiment.build_model()
        if isinstance(model.head, CausalHead):
            statistics = experiment.class_statistics(model)
            model.head.set_statistics(
                priors=torch.from_numpy(statistics.priors).float(),
                text=torch.from_numpy(statistics.means["text"]),
                audio=torch.from_numpy(statistics.means["audio"]),
                vision=torch.from_numpy(statistics.means["vision"]),
            )
        if recipe.model.debiases_language:
            experiment.kept_token_ids()  # evaluation needs it; better told now than after hours of training
        self.model: CIDer = model
        self._optimiser = torch.optim.Adam(_optimiser_groups(model, experiment))
        self._model, self._optimiser = self._accelerator.prepare(model, self._optimiser)
        device = self._accelerator.device
        self._shuffle = torch.Generator().manual_seed(recipe.seed)
        self._missing = torch.Generator(device=device).manual_seed(recipe.seed + 1)
        self._loader = make_loader(
            experiment.store,
            experiment.rows["train"],
            batch_size=settings.batch_size,
            shuffle_generator=self._shuffle,
            num_workers=settings.num_workers,
        )
        self._validation = FoldPredictor(
            model, experiment, "valid", device=device, batch_size=recipe.evaluation.batch_size
        )

    def fit(self, progress: Callable[[int, int, str], None] | None = None) -> TrainingResult:
        """Train until validation has not improved for ``patience`` epochs.

        Args:
            progress: called after every step with the step, the steps per epoch and a short text.
        """
        settings = self._recipe.training
        best_epoch, best_score, reason, epoch = 0, -np.inf, "max_epochs", 0
        # Dropout draws from torch's global generator; the caller's state is given back.
        with torch.random.fork_rng():
            torch.manual_seed(self._recipe.seed)
            for epoch in range(1, settings.max_epochs + 1):
                started = time.perf_counter()
                losses = self._train_epoch(epoch, progress)
                validation = self._validate()
                score = validation.pop("score")
                self._run.log(
                    {
                        "epoch": epoch,
                        "seconds": round(time.perf_counter() - started, 3),
                        "train": losses,
                        "valid": validation,
                        "score": score,
                    }
                )
                if score > best_score:
                    best_epoch, best_score = epoch, score
                    self._run.save_weights(self.model)
                elif epoch - best_epoch >= settings.patience:
                    reason = "patience"
                    break
        if best_epoch == 0:
            raise RunError(
                f"no epoch had a validation {self._recipe.selection.metric}",
                where=self._run.path,
                do="Choose another selection.metric",
            )
        result = TrainingResult(best_epoch, float(best_score), epoch, reason)
        write_json(self._run.result_path, asdict(result))
        return result

    def _train_epoch(self, epoch: int, progress: Callable[[int, int, str], None] | None) -> dict[str, float]:
        """One pass over the training fold; mean of every loss over the utterances."""
        self.model.train()
        totals: dict[str, float] = {}
        seen = 0
        for step, batch in enumerate(self._loader, start=1):
            losses = self.train_step(batch.to(self._accelerator.device))
            seen += len(batch)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value * len(batch)
            if progress is not None:
                progress(step, len(self._loader), f"epoch {epoch}, loss {totals['complete'] / seen:.3f}")
        return {name: total / seen for name, total in totals.items()}

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Two optimiser steps with separate gradients.

        The complete view's outputs teach the incomplete view: they are computed once, before the first step,
        and detached. Its graph is not shared, so the second step's gradients are the incomplete view's alone.
        """
        classes = torch.from_numpy(self._experiment.task.class_of(batch.label.cpu().numpy())).to(
            batch.label.device
        )
        complete: DistillationOutput = self._model(batch, for_distillation=True)
        losses = {"complete": objectives.classification(complete.log_probabilities, classes)}
        self._update(losses["complete"], batch)
        removed = self._draw(batch)
        incomplete: DistillationOutput = self._model(
            apply(batch, removed, self._experiment.special), for_distillation=True
        )
        losses |= self._distillation(batch, complete, incomplete, removed)
        losses["incomplete"] = objectives.classification(incomplete.log_probabilities, classes)
        weights = self._recipe.loss
        total = (
            losses["incomplete"]
            + weights.alpha_reconstruction * losses["reconstruction"]
            + weights.beta_attention * losses["attention"]
            + weights.gamma_joint * losses["joint"]
        )
        self._update(total, batch)
        return {name: float(value.detach()) for name, value in losses.items()}

    def _distillation(
        self, batch: Batch, complete: DistillationOutput, incomplete: DistillationOutput, removed: Removed
    ) -> dict[str, Tensor]:
        """L_recon, L_attn and L_joint (paper eq. 17-19)."""
        return {
            "reconstruction": objectives.reconstruction(
                self.model.reconstruct(incomplete),
                (complete.text_features, batch.audio, batch.vision),
                removed,
            ),
            "attention": objectives.attention_divergence(
                complete.attention_logits, incomplete.attention_logits, batch.text_mask
            ),
            "joint": objectives.joint_distance(complete.joint, incomplete.joint),
        }

    def _draw(self, batch: Batch) -> Removed:
        positions = Positions.of(batch, self._experiment.special)
        missing = self._recipe.missing
        rates = random_rates(len(batch), self._missing, batch.label.device)
        if missing.rate == "per_position":
            return rmfm(positions, rates, self._missing, per_position=True)
        return draw(missing.pattern, positions, rates, self._missing)

    def _update(self, loss: Tensor, batch: Batch) -> None:
        if not bool(torch.isfinite(loss)):
            ids = self._experiment.store.utterances["id"].iloc[batch.index.cpu().numpy()].tolist()
            raise RunError(
                f"the loss is {loss.item()} on a batch with the utterances {', '.join(ids[:5])}, ...",
                where=self._run.path,
                do="Look at these utterances, or lower training.learning_rate",
            )
        self._optimiser.zero_grad()
        self._accelerator.backward(loss)
        self._optimiser.step()
        self._optimiser.zero_grad()

    def _validate(self) -> dict[str, float]:
        """Scores on the validation fold: mean over the selection's rates, and the selection's score."""
        selection, evaluation = self._recipe.selection, self._recipe.evaluation
        by_rate = []
        classes = self._experiment.task.class_of(self._validation.labels)
        for rate in selection.rates:
            probabilities = self._validation.predict(evaluation.pattern, rate, evaluation.mask_seed)[FACTUAL]
            values = scores(probabilities, self._validation.labels, self._experiment.task)
            chosen = probabilities[np.arange(len(classes)), classes]
            values["loss"] = float(-np.log(np.maximum(chosen, 1e-12)).mean())
            by_rate.append(values)
        means = {name: float(np.mean([values[name] for values in by_rate])) for name in by_rate[0]}
        if selection.metric not in means:
            raise RunError(
                f"task {self._experiment.task.name!r} has no metric {selection.metric!r}",
                expected=", ".join(means),
            )
        score = -means["loss"] if selection.metric == "loss" else means[selection.metric]
        return {**means, "score": score}


def _optimiser_groups(model: CIDer, experiment: Experiment) -> list[dict[str, object]]:
    """Adam's groups: the text encoder learns slowly and decays (not its bias and LayerNorm)."""
    settings = experiment.recipe.training
    groups = parameter_groups(model)
    return [
        {
            "params": groups["text_encoder_decay"],
            "lr": settings.encoder_learning_rate,
            "weight_decay": settings.encoder_weight_decay,
        },
        {"params": groups["text_encoder_plain"], "lr": settings.encoder_learning_rate},
        {"params": groups["rest"], "lr": settings.learning_rate},
    ]
