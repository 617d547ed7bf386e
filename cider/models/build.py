"""A model from its settings: CIDer, or a registered backbone with a head."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, cast

from pydantic import ValidationError
from torch import nn

from cider.model.architecture import Architecture, FeatureShapes
from cider.model.cider import CIDer
from cider.models.backbone import Backbone
from cider.models.backbone_model import BackboneModel, SentimentModel
from cider.models.registry import BackboneFactory, find_model
from cider.models.settings import BackboneSettings
from mer_data.errors import RecipeError
from mer_data.torch_data.batches import SpecialTokens


def build_model(
    name: str,
    settings: Architecture | BackboneSettings | Mapping[str, Any],
    text_encoder: nn.Module,
    *,
    label_debiasing: bool,
    shapes: FeatureShapes,
    num_classes: int,
    special: SpecialTokens,
) -> SentimentModel:
    """Build a model with fresh weights from torch's global generator; no statistics yet.

    Args:
        name: "cider", or a model of `cider.models.registry`.
        settings: architecture of CIDer; hyperparameters of any other model, checked or plain.
        text_encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l).
        label_debiasing: predict through the causal head; a plain linear classifier otherwise.
        shapes: of the features.
        num_classes: C.
        special: word piece ids with a role.

    Raises:
        MerDataError: a setting is impossible, or the model is no backbone.
    """
    given: dict[str, Any] = {"shapes": shapes, "num_classes": num_classes, "special": special}
    if isinstance(settings, Architecture):
        _check_frames(name, True, shapes)
        return CIDer(text_encoder, architecture=settings, label_debiasing=label_debiasing, **given)
    factory = find_model(name)
    _check_frames(name, getattr(factory, "reads_frames", True), shapes)
    try:
        checked = factory.Settings.model_validate(settings)
    except ValidationError as error:
        raise RecipeError(f"wrong settings of model {name!r} ({error.errors()[0]['msg']})") from error
    backbone = _built(factory, text_encoder=text_encoder, settings=checked, **given)
    class_widths = shapes.widths if label_debiasing else None
    model = BackboneModel(cast(nn.Module, backbone), num_classes, class_widths=class_widths)
    if model.text_encoder is not text_encoder:
        raise RecipeError(f"model {name!r} keeps another text encoder than it was given")
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
