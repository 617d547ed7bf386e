"""Training of models that distil nothing: one optimiser step a batch, on what is left of it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from cider.models.backbone_model import BackboneModel, BackboneOutput
from cider.runs.experiment import Experiment
from cider.training.distributed import Processes
from cider.training.microbatches import MicroBatch, map_tensors
from cider.training.precision import Precision
from cider.training.step import LossTerm, TrainingStep, in_float32, summed
from mer_data.torch_data.batches import Batch
from mer_data.torch_data.missing import apply


class OneStep(TrainingStep):
    """Cross-entropy and the backbone's auxiliary loss on the incomplete batch, then a step.

    With ``missing.pattern: none`` the batch is complete.
    """

    def __init__(
        self,
        model: BackboneModel,
        experiment: Experiment,
        processes: Processes,
        *,
        precision: Precision,
        missing: torch.Generator,
        where: Path,
    ) -> None:
        """As `TrainingStep`, without ``views``."""
        views = _View(model)
        super().__init__(
            model, views, experiment, processes, precision=precision, missing=missing, where=where
        )
        self._model = model

    def step(self, batch: Batch, num_real: int | None = None) -> dict[str, float]:
        """One step on one batch, see `TrainingStep.step`."""
        losses: list[dict[str, Tensor]] = []

        def judge(number: int, part: MicroBatch) -> LossTerm:
            seen = apply(part.batch, part.removed, self._experiment.special)
            output, auxiliary = self._forward(seen, part.classes)
            losses.append(_losses(part, output, auxiliary))
            return LossTerm(_total(losses[-1]), (part, seen, output), self._loss_alone)

        self._update(self._parts(batch, num_real), judge)
        return summed(losses)

    def _loss_alone(self, part: MicroBatch, seen: Batch, output: BackboneOutput) -> Tensor:
        """The loss of some utterances of a part that was judged."""
        auxiliary = self._model.auxiliary_loss(output.representation, seen, part.classes)
        return _total(_losses(part, output, auxiliary))


class _View(nn.Module):
    """All that has parameters in one ``forward``: only what runs inside it is synchronised."""

    def __init__(self, model: BackboneModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, classes: Tensor) -> tuple[BackboneOutput, Tensor | None]:
        output: BackboneOutput = self.model(batch)
        with torch.autocast(classes.device.type, enabled=False):
            representation = map_tensors(in_float32, output.representation)
            return output, self.model.auxiliary_loss(representation, batch, classes)


def _losses(part: MicroBatch, output: BackboneOutput, auxiliary: Tensor | None) -> dict[str, Tensor]:
    """What a part adds to the means over the whole batch."""
    losses = {"classification": part.classification(output)}
    return losses if auxiliary is None else {**losses, "auxiliary": part.share * auxiliary}


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()
