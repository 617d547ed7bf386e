"""Models by their description: CIDer by its architecture, a registered backbone by its name and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import signature
from typing import Any, cast

from pydantic import ValidationError
from torch import nn

from cider.model.architecture import Architecture, FeatureShapes
from cider.model.cider import CIDer
from cider.models.backbone import Backbone
from cider.models.backbone_model import BackboneModel, SentimentModel
from cider.models.registry import BackboneFactory, find_model
from mer_data.errors import RecipeError
from mer_data.torch_data.batches import SpecialTokens


@dataclass(frozen=True)
class BackboneChoice:
    """A registered backbone and its head.

    Attributes:
        name: of `cider.models.registry`.
        settings: its hyperparameters.
        label_debiasing: predict through the causal head; a plain linear classifier otherwise.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    label_debiasing: bool = True


def build_model(
    choice: Architecture | BackboneChoice,
    text_encoder: nn.Module,
    *,
    shapes: FeatureShapes,
    num_classes: int,
    special: SpecialTokens,
) -> SentimentModel:
    """A model with fresh weights from torch's global generator; no statistics yet.

    Args:
        choice: which.
        text_encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l).
        shapes: of the features.
        num_classes: C.
        special: word piece ids with a role.

    Raises:
        MerDataError: a setting is impossible, or the model is no backbone.
    """
    if isinstance(choice, Architecture):
        _check_frames("cider", True, shapes)
        return CIDer(
            text_encoder, shapes=shapes, architecture=choice, num_classes=num_classes, special=special
        )
    factory = find_model(choice.name)
    _check_frames(choice.name, getattr(factory, "reads_frames", True), shapes)
    try:
        settings = factory.Settings.model_validate(choice.settings)
    except ValidationError as error:
        raise RecipeError(f"wrong settings of model {choice.name!r} ({error.errors()[0]['msg']})") from error
    backbone = _built(
        factory,
        text_encoder=text_encoder,
        shapes=shapes,
        num_classes=num_classes,
        special=special,
        settings=settings,
    )
    widths = (shapes.text_width, shapes.audio_width, shapes.vision_width)
    model = BackboneModel(
        cast(nn.Module, backbone), num_classes, class_widths=widths if choice.label_debiasing else None
    )
    if model.text_encoder is not text_encoder:
        raise RecipeError(f"model {choice.name!r} keeps another text encoder than it was given")
    return model


def _check_frames(name: str, reads_frames: bool, shapes: FeatureShapes) -> None:
    """Refuse a model that reads audio and vision where the store has only one of them, or texts alone."""
    if reads_frames and shapes.absent:
        raise RecipeError(
            f"model {name!r} reads audio and vision",
            found=f"a store without {' and '.join(shapes.absent)}",
            do="Choose a model that reads text alone (model.name=text_only), or build a store with frames",
        )


def _built(factory: BackboneFactory, **arguments: Any) -> Backbone:
    """A backbone; a constructor that does not take what all are given is told.

    Raises:
        RecipeError: it does not.
    """
    try:
        signature(factory).bind(**arguments)
    except TypeError as error:
        raise RecipeError(
            f"the constructor of {getattr(factory, '__name__', factory)} does not fit ({error})",
            expected=f"the keyword arguments {', '.join(arguments)}",
        ) from error
    return factory(**arguments)
