"""A trained run with its model, ready to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cider.models.backbone_model import SentimentModel
from cider.prediction.engine import FoldPredictor
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_trained


@dataclass(frozen=True)
class LoadedRun:
    """A run, the data it was trained on, and its model on ``device``."""

    folder: RunFolder
    experiment: Experiment
    model: SentimentModel
    device: str

    @classmethod
    def open(cls, path: str | Path) -> LoadedRun:
        """Load a run; a GPU is used if there is one.

        Raises:
            MerDataError: no run, an untrained or damaged one, or one of other data than are here.
        """
        folder, experiment = open_trained(path)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = experiment.build_model()
        folder.load_weights(model)
        return cls(folder, experiment, model.to(device), device)

    def fold(self, name: str, *, counterfactual: bool = False) -> FoldPredictor:
        """A fold to be predicted, with counterfactual texts too where they are asked for."""
        settings = self.experiment.recipe.evaluation
        return FoldPredictor(
            self.model,
            self.experiment,
            name,
            device=self.device,
            batch_size=settings.batch_size,
            kept_token_ids=self.experiment.kept_token_ids() if counterfactual else None,
            bf16=settings.precision == "bf16",
        )
