"""The model that a training begins with."""

from __future__ import annotations

import torch

from cider.experiment import Experiment
from cider.model import CausalHead, CIDer


def starting_model(experiment: Experiment) -> CIDer:
    """A fresh model of the recipe with the class statistics of training.

    Raises:
        MerDataError: statistics or vocabulary are missing, or of something else.
    """
    model = experiment.build_model()
    if isinstance(model.head, CausalHead):
        statistics = experiment.class_statistics(model)
        model.head.set_statistics(
            priors=torch.from_numpy(statistics.priors).float(),
            text=torch.from_numpy(statistics.means["text"]),
            audio=torch.from_numpy(statistics.means["audio"]),
            vision=torch.from_numpy(statistics.means["vision"]),
        )
    if experiment.recipe.model.debiases_language:
        experiment.kept_token_ids()  # evaluation needs it; better told now than after hours of training
    return model
