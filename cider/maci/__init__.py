"""MACI for any model: a causal head on its joint representation, and counterfactual text."""

from cider.maci.backbone import Backbone, JointRepresentation, TrainedBesides

__all__ = ["Backbone", "JointRepresentation", "TrainedBesides"]
