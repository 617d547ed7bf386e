"""Two-step self-distillation (paper section III-D): the complete view, then the incomplete one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cider.model.cider import CIDer, DistillationOutput
from cider.model.reconstruction import Reconstruction
from cider.training import losses as objectives
from cider.training.microbatches import MicroBatch, map_tensors
from cider.training.step import LossTerm, TrainingStep, summed
from cider.training.step_parts import LOSSES, step_part
from mer_data.torch_data.batches import Batch
from mer_data.torch_data.missing import MissingMask


class _Views(nn.Module):
    """Model and reconstruction in one ``forward``, see `TrainingStep`."""

    def __init__(self, model: CIDer) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batch: Batch, *, rebuild: bool = False
    ) -> tuple[DistillationOutput, Reconstruction | None]:
        output: DistillationOutput = self.model(batch, for_distillation=True)
        return output, self.model.reconstruct(output) if rebuild else None


class TwoStep(TrainingStep):
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

    View = _Views

    def step(self, batch: Batch, num_real: int | None = None) -> dict[str, float]:
        """Both steps on one batch, see `TrainingStep.step`."""
        parts = self._parts(batch, num_real)
        teachers: list[DistillationOutput] = []
        losses: list[dict[str, Tensor]] = []

        def complete(number: int, part: MicroBatch) -> LossTerm:
            output: DistillationOutput = self._forward(part.batch)[0]
            # Constants from before the first step: the student is compared with them at weights after it.
            teachers.append(map_tensors(torch.Tensor.detach, output))
            with step_part(LOSSES):
                loss = part.classification(output)
            losses.append({"complete": loss})
            return LossTerm(loss, (part, output), lambda one, out: one.classification(out))

        def incomplete(number: int, part: MicroBatch) -> LossTerm:
            output, rebuilt = self._forward(self._incomplete(part), rebuild=True)
            compared: tuple[Any, ...] = (part, teachers[number], output, rebuilt)
            with step_part(LOSSES):
                losses.append(student_losses(*compared))
            return LossTerm(
                self._weighted(losses[-1]), compared, lambda *one: self._weighted(student_losses(*one))
            )

        # All parts of one view before the optimiser moves, so that parts change nothing but rounding.
        self._update(parts, complete)
        self._update(parts, incomplete)
        return summed(losses)

    def _weighted(self, losses: dict[str, Tensor]) -> Tensor:
        """The loss of step two (paper eq. 30)."""
        weights = self._experiment.recipe.loss
        return (
            losses["incomplete"]
            + weights.alpha_reconstruction * losses["reconstruction"]
            + weights.beta_attention * losses["attention"]
            + weights.gamma_joint * losses["joint"]
        )


def student_losses(
    part: MicroBatch, teacher: DistillationOutput, student: DistillationOutput, rebuilt: Reconstruction
) -> dict[str, Tensor]:
    """Return what a part adds to the losses of step two (paper eq. 17-19 and 29)."""
    targets = (teacher.text_features, part.batch.audio, part.batch.vision)
    removed = (part.removed.text, part.removed.audio, part.removed.vision)
    reconstruction = student.joint.new_zeros(())
    for kept, share in enumerate(part.removed_shares):
        # The loss is a sum of one mean per modality; a modality without steps adds nothing.
        only = [slice(None) if number == kept else slice(0) for number in range(len(targets))]
        text, audio, vision = (target[:, steps] for target, steps in zip(targets, only, strict=True))
        lost = MissingMask(*(mask[:, steps] for mask, steps in zip(removed, only, strict=True)))
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
