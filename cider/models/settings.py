"""What the settings of every model in a recipe have in common. Does not import torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class BackboneSettings(BaseModel):
    """Hyperparameters of a model, ``model.settings`` of a recipe: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
