"""Models that a recipe can name besides CIDer: one file and one line in ``MODELS`` each.

Does not import torch: a model's module is imported when a recipe names the model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from cider.models.own_code import installed_module
from cider.models.settings import BackboneSettings
from mer_data.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from cider.model.architecture import FeatureShapes
    from cider.models.backbone import Backbone
    from mer_data.torch_data.batches import SpecialTokens

#: "module:class" by name, each a `BackboneFactory`.
MODELS: dict[str, str] = {
    "text_only": "cider.models.text_only:TextOnly",
    "early_fusion": "cider.models.early_fusion:EarlyFusion",
    "dlf": "cider.models.dlf.backbone:DLF",
    "mplmm": "cider.models.mplmm:MPLMM",
}


class BackboneFactory(Protocol):
    """A registered class: a `torch.nn.Module` that is a `cider.models.backbone.Backbone`.

    Attributes:
        Settings: its hyperparameters, all with defaults; ``model.settings`` of a recipe.

    A class whose attribute ``reads_frames`` is False reads text alone: a store without audio and vision is
    enough for it.
    """

    Settings: type[BackboneSettings]

    def __call__(
        self,
        *,
        text_encoder: nn.Module,
        shapes: FeatureShapes,
        num_classes: int,
        special: SpecialTokens,
        settings: BackboneSettings,
    ) -> Backbone:
        """Build the model with fresh weights from torch's global generator, which is seeded by the recipe.

        Args:
            text_encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l), zeros at
                padding. To be kept as ``self.text_encoder``; its parameters learn with a rate of their own.
            shapes: widths and greatest lengths of the features.
            num_classes: C, for auxiliary heads; the last layer is not the backbone's.
            special: word piece ids with a role.
            settings: of the class ``Settings``.
        """
        ...


def find_model(name: str) -> BackboneFactory:
    """The model called ``name``, or at "module:class" of an installed package or a file of one's own.

    A file is found after `cider.models.own_code.load_code` (``--code FILE``) has run it.

    Raises:
        RecipeError: there is none (the known ones are listed), or it is no model.
    """
    place = MODELS.get(name, name)
    module, separator, attribute = place.partition(":")
    if not separator:
        raise RecipeError(
            f"no model {name!r}",
            expected=f"cider, {', '.join(sorted(MODELS))} or module:class of your own",
            do=did_you_mean(name, ["cider", *MODELS]),
        )
    imported = import_module if name in MODELS else installed_module
    try:
        found: BackboneFactory = getattr(imported(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # the module is there, and imports what is not
            raise _cannot_import(name, error) from error
        raise RecipeError(
            f"model {name!r} is in no installed package",
            do="If it is in a file of your own, or in one that you trust, name that:"
            f" --code {f'{module}.py' if module.isidentifier() else 'FILE'}",
        ) from error
    except (ImportError, AttributeError, ValueError, TypeError) as error:  # empty and relative names, too
        raise _cannot_import(name, error) from error
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, BackboneSettings)):
        raise RecipeError(
            f"model {name!r} has no settings",
            expected="a class attribute Settings, a subclass of cider.models.settings.BackboneSettings",
        )
    return found


def _cannot_import(name: str, error: Exception) -> RecipeError:
    return RecipeError(f"cannot import model {name!r} ({error})")
