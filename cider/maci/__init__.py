"""MACI for any model: a causal head on its joint representation, and counterfactual text."""

from cider.maci.backbone import Backbone, JointRepresentation, TrainedBesides
from cider.maci.model import (
    BackboneModel,
    BackboneOutput,
    SentimentModel,
    causal_head_size,
    text_reader,
)
from cider.maci.plug_in import MaciInputs, MaciModel, with_maci

__all__ = [
    "Backbone",
    "BackboneModel",
    "BackboneOutput",
    "JointRepresentation",
    "MaciInputs",
    "MaciModel",
    "SentimentModel",
    "TrainedBesides",
    "causal_head_size",
    "text_reader",
    "with_maci",
]
