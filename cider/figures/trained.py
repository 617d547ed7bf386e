"""A trained run with its model, ready to be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cider.models.backbone_model import SentimentModel
from cider.prediction.engine import FoldPredictor, best_device
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
        device = best_device()
        model = experiment.build_model()
        folder.load_weights(model)
        return cls(folder, experiment, model.to(device), device)

    def fold(self, name: str, *, counterfactual: bool = False) -> FoldPredictor:
        """A fold to be predicted, with counterfactual texts too where they are asked for."""
        return FoldPredictor(
            self.model,
            self.experiment,
            name,
            device=self.device,
            kept_token_ids=self.experiment.kept_token_ids() if counterfactual else None,
        )
