"""Common part of the settings of all models in a recipe. Does not import torch."""

from __future__ import annotations

from typing import Literal

from mer_data.files.strict_model import StrictModel

Maci = Literal["none", "label", "language", "both"]
"""Halves of causal inference that are on."""


class BackboneSettings(StrictModel):
    """Hyperparameters of a model, ``model.settings`` of a recipe: unknown keys are errors."""
