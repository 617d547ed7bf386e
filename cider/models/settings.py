"""What the settings of every model in a recipe have in common. Does not import torch.

The bounds are the paper's search space with a wide margin: a slip of the keyboard is told before it takes the
memory of the machine.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mer_data.files.strict_model import Number, StrictModel, WholeNumber

Maci = Literal["none", "label", "language", "both"]
"""Halves of causal inference that are on."""
Width = Annotated[WholeNumber, Field(ge=1, le=4096)]
Layers = Annotated[WholeNumber, Field(ge=1, le=64)]
Heads = Annotated[WholeNumber, Field(ge=1, le=256)]
DropoutRate = Annotated[Number, Field(ge=0, lt=1)]


class BackboneSettings(StrictModel):
    """Hyperparameters of a model, ``model.settings`` of a recipe: unknown keys are errors."""
