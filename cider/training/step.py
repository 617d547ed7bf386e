"""Common part of all ways of training: micro-batches, processes, precision, optimiser, finite losses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cider.models.backbone_model import SentimentModel, parameter_groups
from cider.runs.experiment import Experiment
from cider.training.distributed import Processes
from cider.training.microbatches import MicroBatch, map_tensors, rows_of, split_into_microbatches
from cider.training.precision import Precision
from cider.training.step_parts import BACKWARD, MISSING, OPTIMISER, step_part
from mer_data.errors import RunError
from mer_data.torch_data.batches import Batch
from mer_data.torch_data.missing import MissingMask, ValidMask, apply, draw, nothing, random_rates, rmfm

_DTYPES: dict[Precision, torch.dtype | None] = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainingStep(ABC):
    """Trains a model on one batch at a time; ``step`` says how.

    A batch may be cut into parts that fit into memory (``training.gradient_accumulation``) and shared among
    processes. An optimiser step is on all parts: every mean is over the whole batch.

    Attributes:
        optimiser: Adam over all parameters.
        scaler: of the loss, for fp16.
        View: module around a model whose ``forward`` runs all that has parameters: data parallelism
            synchronises the gradients of what runs inside it, and of nothing else.
    """

    View: ClassVar[type[nn.Module]]

    def __init__(
        self,
        model: SentimentModel,
        experiment: Experiment,
        processes: Processes,
        *,
        precision: Precision,
        missing: torch.Generator,
        run_path: Path,
    ) -> None:
        """Place the model and make its optimiser.

        Args:
            model: to be trained, on any device.
            experiment: its recipe and data.
            processes: those that train it together.
            precision: of the forward passes; weights, losses and moments are float32.
            missing: source of the missing patterns, on the device of the processes.
            run_path: folder of the run, for messages.
        """
        self._model, self._experiment = model, experiment
        self._processes, self._run_path = processes, run_path
        self._dtype = _DTYPES[precision]
        self._missing = missing
        self._views = processes.parallel(type(self).View(model))
        self.optimiser = torch.optim.Adam(_optimiser_groups(model, experiment), fused=True)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "fp16")

    @abstractmethod
    def step(self, batch: Batch, num_real: int | None = None) -> dict[str, float]:
        """Train on one batch.

        Args:
            batch: this process's share, on its device.
            num_real: its length, or 0 for a stand-in that other processes count; default: its length.

        Returns:
            What this process adds to every mean over the whole batch; alone, these are the means. The first
            is what is shown while training runs.

        Raises:
            RunError: a loss is not finite; nothing was changed by its step.
        """

    def _update(self, parts: list[MicroBatch], judge: Callable[[int, MicroBatch], LossTerm]) -> None:
        """One optimiser step on the sum of the losses of all parts on all processes."""
        processes = self._processes
        self.optimiser.zero_grad()
        for number, part in enumerate(parts):
            # Gradients add up; processes exchange them once, with the last part.
            last = number == len(parts) - 1
            with nullcontext() if last else processes.accelerator.no_sync(self._views):
                with processes.fail_together():
                    judged = judge(number, part)
                self._refuse_not_finite(part, judged)
                # Processes average their gradients where the sum is meant.
                with step_part(BACKWARD):
                    processes.accelerator.backward(self.scaler.scale(judged.loss * processes.world_size))
        with step_part(OPTIMISER):
            self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()

    def _forward(self, *inputs: Any, **options: Any) -> Any:
        """Outputs for the losses, in float32 whatever the precision of the model."""
        with torch.autocast(self._processes.device.type, dtype=self._dtype, enabled=self._dtype is not None):
            outputs = self._views(*inputs, **options)
        return map_tensors(in_float32, outputs)

    def _parts(self, batch: Batch, num_real: int | None) -> list[MicroBatch]:
        """The batch in parts, with what each loses."""
        labels = batch.label.cpu().numpy()
        return split_into_microbatches(
            batch,
            torch.from_numpy(self._experiment.task.class_of(labels)).to(batch.label.device),
            self._draw(batch),
            num_real=len(batch) if num_real is None else num_real,
            max_parts=self._experiment.recipe.training.gradient_accumulation,
            processes=self._processes,
        )

    @step_part(MISSING)
    def _draw(self, batch: Batch) -> MissingMask:
        """Draw what the incomplete view loses."""
        positions = ValidMask.from_batch(batch, self._experiment.special)
        missing = self._experiment.recipe.missing
        if missing.pattern == "none":
            return nothing(positions)
        rates = random_rates(len(batch), self._missing, batch.label.device)
        if missing.rate == "per_position":
            return rmfm(positions, rates, self._missing, per_position=True)
        return draw(missing.pattern, positions, rates, self._missing)

    @step_part(MISSING)
    def _incomplete(self, part: MicroBatch) -> Batch:
        """Return the batch of a part without what it loses."""
        return apply(part.batch, part.removed, self._experiment.special)

    def _refuse_not_finite(self, part: MicroBatch, judged: LossTerm) -> None:
        """Raise on every process when the loss of any is not finite.

        Only then are the utterances looked at one by one: those whose own loss is not finite are told, and
        all of them where that tells nothing.
        """
        (loss,) = self._processes.sum([judged.loss.item()])
        if math.isfinite(loss):
            return
        index = part.batch.index.cpu()
        bad = torch.zeros(len(index), dtype=torch.bool)
        if not math.isfinite(judged.loss.item()):
            bad = ~judged.per_sample(len(index)).isfinite()
            bad |= ~bad.any()
        # Gathered tensors have one shape, and no process has more than a batch.
        longest = max(len(index), self._experiment.recipe.training.batch_size)
        padded = torch.full((longest,), -1)
        padded[: int(bad.sum())] = index[bad]
        rows = [row for row in self._processes.gather(padded).flatten().tolist() if row >= 0]
        ids = self._experiment.store.utterances["id"].iloc[rows].tolist()
        self._processes.stop(
            RunError(
                f"the loss is {loss} on a batch with the utterances {', '.join(ids)}",
                where=self._run_path,
                do="Look at these utterances, or lower training.learning_rate",
            )
        )


@dataclass(frozen=True)
class LossTerm:
    """The loss of a part, what it was computed from, and how."""

    loss: Tensor
    compared: tuple[Any, ...]
    loss_of: Callable[..., Tensor]

    @torch.no_grad()
    def per_sample(self, size: int) -> Tensor:
        """The loss of every utterance by itself: (size,) on the processor."""
        rows = (slice(row, row + 1) for row in range(size))
        return torch.stack([self.loss_of(*rows_of(self.compared, one)) for one in rows]).cpu()


def in_float32(tensor: Tensor) -> Tensor:
    """A tensor of any floating point in float32; others as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def summed(losses: list[dict[str, Tensor]]) -> dict[str, float]:
    """The sum of every loss over the parts, read from the device at once."""
    names = list(dict.fromkeys(name for part in losses for name in part))
    totals = [torch.stack([part[name].detach() for part in losses if name in part]).sum() for name in names]
    return dict(zip(names, torch.stack(totals).tolist(), strict=True))


def _optimiser_groups(model: SentimentModel, experiment: Experiment) -> list[dict[str, object]]:
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
