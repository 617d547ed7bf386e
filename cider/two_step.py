"""Two-step self-distillation (paper section III-D): the complete view, then the incomplete one."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cider import objectives
from cider.batch_parts import Part, cut_batch, map_tensors, rows_of
from cider.experiment import Experiment
from cider.model import CIDer, DistillationOutput, parameter_groups
from cider.model.reconstruction import Reconstruction
from cider.precision import Precision
from cider.processes import Processes
from mer_data.batches import Batch
from mer_data.errors import RunError
from mer_data.missing import Positions, Removed, apply, draw, random_rates, rmfm

_DTYPES: dict[Precision, torch.dtype | None] = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class TwoStep:
    """Two optimiser steps for every batch, with separate gradients.

    1. Cross-entropy of the complete view, then a step.
    2. Cross-entropy of the incomplete view and the distillation losses (paper eq. 30), then a step.

    Both steps share the batch, what is missing in it, the optimiser with its moments, and the complete
    view's outputs as constants: no loss flows back into the teacher, so one forward pass serves both. It is
    the one before the first step.

    They may not share

    - the graph: the first step overwrote the weights that its saved activations belong to;
    - gradients: what step one left would be applied a second time by step two;
    - anything computed from weights that the student needs, such as text features of the pieces that stayed:
      the student is to be judged, and its gradients taken, at the weights that step two changes.

    A batch may be cut into parts that fit into memory (``training.gradient_accumulation``) and shared among
    processes. Both steps then run over all parts before the optimiser moves: first every complete view, a
    step, then every incomplete view, a step. Taking part by part through both views would judge the student
    at weights before step one, and would need two sets of gradients. Every mean is over the whole batch, that
    of the reconstruction over all of its removed values: parts and processes change nothing but rounding,
    dropout and which positions are drawn. The teacher's outputs of all parts are kept between the steps.
    """

    def __init__(
        self,
        model: CIDer,
        experiment: Experiment,
        processes: Processes,
        *,
        precision: Precision,
        missing: torch.Generator,
        where: Path,
    ) -> None:
        """Place the model and make its optimiser.

        Args:
            model: to be trained, on any device.
            experiment: its recipe and data.
            processes: those that train it together.
            precision: of the forward passes; weights, losses and moments are float32.
            missing: source of the missing patterns, on the device of the processes.
            where: the run, for messages.
        """
        self._experiment, self._processes, self._where = experiment, processes, where
        self._dtype = _DTYPES[precision]
        self._missing = missing
        self._views = processes.parallel(_Views(model))
        self.optimiser = torch.optim.Adam(_optimiser_groups(model, experiment), fused=True)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=precision == "fp16")

    def step(self, batch: Batch, counted: int | None = None) -> dict[str, float]:
        """Train on one batch.

        Args:
            batch: this process's share, on its device.
            counted: its length, or 0 for a stand-in that other processes count; default: its length.

        Returns:
            What this process adds to every mean over the whole batch; alone, these are the means.

        Raises:
            RunError: a loss is not finite; nothing was changed by its step.
        """
        parts = self._parts(batch, len(batch) if counted is None else counted)
        teachers: list[DistillationOutput] = []
        losses: list[dict[str, Tensor]] = []

        def complete(number: int, part: Part) -> _Judged:
            output, _ = self._forward(part.batch)
            teachers.append(map_tensors(torch.Tensor.detach, output))
            loss = part.classification(output)
            losses.append({"complete": loss})
            return _Judged(loss, (part, output), lambda one, out: one.classification(out))

        def incomplete(number: int, part: Part) -> _Judged:
            lossy = apply(part.batch, part.removed, self._experiment.special)
            output, rebuilt = self._forward(lossy, rebuild=True)
            compared: tuple[Any, ...] = (part, teachers[number], output, rebuilt)
            losses.append(student_losses(*compared))
            return _Judged(
                self._weighted(losses[-1]), compared, lambda *one: self._weighted(student_losses(*one))
            )

        self._update(parts, complete)
        self._update(parts, incomplete)
        return _sums(losses)

    def _update(self, parts: list[Part], judge: Callable[[int, Part], _Judged]) -> None:
        """One optimiser step on the sum of the losses of all parts on all processes."""
        processes = self._processes
        self.optimiser.zero_grad()
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last else processes.accelerator.no_sync(self._views):
                with processes.together():
                    judged = judge(number, part)
                self._refuse_not_finite(part, judged)
                # Processes average their gradients where the sum is meant.
                processes.accelerator.backward(self.scaler.scale(judged.loss * processes.count))
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()

    def _forward(
        self, batch: Batch, *, rebuild: bool = False
    ) -> tuple[DistillationOutput, Reconstruction | None]:
        """Outputs for the losses, in float32 whatever the precision of the model."""
        with torch.autocast(self._processes.device.type, dtype=self._dtype, enabled=self._dtype is not None):
            outputs: tuple[DistillationOutput, Reconstruction | None] = self._views(batch, rebuild=rebuild)
        return map_tensors(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor, outputs)

    def _parts(self, batch: Batch, counted: int) -> list[Part]:
        labels = batch.label.cpu().numpy()
        return cut_batch(
            batch,
            torch.from_numpy(self._experiment.task.class_of(labels)).to(batch.label.device),
            self._draw(batch),
            counted=counted,
            most=self._experiment.recipe.training.gradient_accumulation,
            processes=self._processes,
        )

    def _draw(self, batch: Batch) -> Removed:
        """What the incomplete view loses."""
        positions = Positions.of(batch, self._experiment.special)
        missing = self._experiment.recipe.missing
        rates = random_rates(len(batch), self._missing, batch.label.device)
        if missing.rate == "per_position":
            return rmfm(positions, rates, self._missing, per_position=True)
        return draw(missing.pattern, positions, rates, self._missing)

    def _weighted(self, losses: dict[str, Tensor]) -> Tensor:
        """The loss of step two (paper eq. 30)."""
        weights = self._experiment.recipe.loss
        return (
            losses["incomplete"]
            + weights.alpha_reconstruction * losses["reconstruction"]
            + weights.beta_attention * losses["attention"]
            + weights.gamma_joint * losses["joint"]
        )

    def _refuse_not_finite(self, part: Part, judged: _Judged) -> None:
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
            bad = ~judged.alone(len(index)).isfinite()
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
                where=self._where,
                do="Look at these utterances, or lower training.learning_rate",
            )
        )


@dataclass(frozen=True)
class _Judged:
    """The loss of a part, what it was computed from, and how."""

    loss: Tensor
    compared: tuple[Any, ...]
    loss_of: Callable[..., Tensor]

    @torch.no_grad()
    def alone(self, size: int) -> Tensor:
        """The loss of every utterance by itself: (size,) on the processor."""
        rows = (slice(row, row + 1) for row in range(size))
        return torch.stack([self.loss_of(*rows_of(self.compared, one)) for one in rows]).cpu()


class _Views(nn.Module):
    """All that has parameters in one ``forward``: only what runs inside it is synchronised."""

    def __init__(self, model: CIDer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: Batch, *, rebuild: bool = False
    ) -> tuple[DistillationOutput, Reconstruction | None]:
        output: DistillationOutput = self.model(batch, for_distillation=True)
        return output, self.model.reconstruct(output) if rebuild else None


def student_losses(
    part: Part, teacher: DistillationOutput, student: DistillationOutput, rebuilt: Reconstruction
) -> dict[str, Tensor]:
    """What a part adds to the losses of step two (paper eq. 17-19 and 29)."""
    targets = (teacher.text_features, part.batch.audio, part.batch.vision)
    removed = (part.removed.text, part.removed.audio, part.removed.vision)
    reconstruction = student.joint.new_zeros(())
    for kept, share in enumerate(part.removed_shares):
        # The loss is a sum of one mean per modality; a modality without steps adds nothing.
        only = [slice(None) if number == kept else slice(0) for number in range(len(targets))]
        text, audio, vision = (target[:, steps] for target, steps in zip(targets, only, strict=True))
        lost = Removed(*(mask[:, steps] for mask, steps in zip(removed, only, strict=True)))
        reconstruction = reconstruction + share * objectives.reconstruction(
            rebuilt, (text, audio, vision), lost
        )
    return {
        "reconstruction": reconstruction,
        "attention": part.share
        * objectives.attention_divergence(
            teacher.attention_logits, student.attention_logits, student.fused_mask
        ),
        "joint": part.share * objectives.joint_distance(teacher.joint, student.joint),
        "incomplete": part.classification(student),
    }


def _sums(losses: list[dict[str, Tensor]]) -> dict[str, float]:
    """The sum of every loss over the parts, read from the device at once."""
    names = list(dict.fromkeys(name for part in losses for name in part))
    totals = [torch.stack([part[name].detach() for part in losses if name in part]).sum() for name in names]
    return dict(zip(names, torch.stack(totals).tolist(), strict=True))


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
