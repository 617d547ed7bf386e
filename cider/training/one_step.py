"""Training of models that distil nothing: one optimiser step a batch, on what is left of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cider.models.backbone_model import BackboneModel, BackboneOutput
from cider.training.microbatches import MicroBatch, map_tensors
from cider.training.step import LossTerm, TrainingStep, in_float32, summed
from cider.training.step_parts import LOSSES, step_part
from mer_data.torch_data.batches import Batch


class _View(nn.Module):
    """Model and auxiliary loss in one ``forward``, see `TrainingStep`."""

    def __init__(self, model: BackboneModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, classes: Tensor) -> tuple[BackboneOutput, Tensor | None]:
        output: BackboneOutput = self.model(batch)
        with torch.autocast(classes.device.type, enabled=False):
            representation = map_tensors(in_float32, output.representation)
            with step_part(LOSSES):
                return output, self.model.auxiliary_loss(representation, batch, classes)


class OneStep(TrainingStep):
    """Cross-entropy and the backbone's auxiliary loss on the incomplete batch, then a step.

    With ``missing.pattern: none`` the batch is complete.
    """

    View = _View
    _model: BackboneModel

    def step(self, batch: Batch, num_real: int | None = None) -> dict[str, float]:
        """One step on one batch, see `TrainingStep.step`."""
        losses: list[dict[str, Tensor]] = []

        def judge(number: int, part: MicroBatch) -> LossTerm:
            seen = self._incomplete(part)
            output, auxiliary = self._forward(seen, part.classes)
            with step_part(LOSSES):
                losses.append(_losses(part, output, auxiliary))
            return LossTerm(_total(losses[-1]), (part, seen, output), self._loss_of)

        self._update(self._parts(batch, num_real), judge)
        return summed(losses)

    def _loss_of(self, part: MicroBatch, seen: Batch, output: BackboneOutput) -> Tensor:
        """The loss of some utterances of a part that was judged."""
        auxiliary = self._model.auxiliary_loss(output.representation, seen, part.classes)
        return _total(_losses(part, output, auxiliary))


def _losses(part: MicroBatch, output: BackboneOutput, auxiliary: Tensor | None) -> dict[str, Tensor]:
    """Return what a part adds to the means over the whole batch."""
    losses = {"classification": part.classification(output)}
    return losses if auxiliary is None else {**losses, "auxiliary": part.share * auxiliary}


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()
