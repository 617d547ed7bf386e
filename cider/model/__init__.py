"""The CIDer model and its parts."""

from cider.model.attention import CompositeAttention
from cider.model.causal_head import CausalHead, Intervention, PlainHead
from cider.model.cider import (
    CIDer,
    CIDerOutput,
    DistillationOutput,
    causal_parameter_count,
    count_parameters,
    parameter_groups,
)
from cider.model.counterfactual import counterfactual_ids
from cider.model.reconstruction import Reconstruction
from cider.model.shapes import Architecture, FeatureShapes

__all__ = [
    "Architecture",
    "CIDer",
    "CIDerOutput",
    "CausalHead",
    "CompositeAttention",
    "DistillationOutput",
    "FeatureShapes",
    "Intervention",
    "PlainHead",
    "Reconstruction",
    "causal_parameter_count",
    "count_parameters",
    "counterfactual_ids",
    "parameter_groups",
]
