"""The model that a training begins with."""

from __future__ import annotations

from typing import cast

from cider.debiasing.causal_head import CausalHead
from cider.models.backbone_model import SentimentModel
from cider.runs.experiment import Experiment
from mer_data.text.encoder import TextEncoder


def starting_model(experiment: Experiment) -> SentimentModel:
    """A fresh model of the recipe with the class statistics of training.

    Raises:
        MerDataError: statistics or vocabulary are missing, or of something else.
    """
    model = experiment.build_model()
    if isinstance(model.head, CausalHead):
        model.head.use(experiment.class_statistics(cast(TextEncoder, model.text_encoder)))
        if experiment.recipe.model.classifier_start == "equal":
            model.head.equalise_classifiers()
    if experiment.recipe.model.debiases_language:
        experiment.kept_token_ids()  # evaluation needs it; better told now than after hours of training
    return model
