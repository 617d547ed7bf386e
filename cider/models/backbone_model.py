"""A backbone with a head: the model that training and evaluation know, whatever the backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from cider.debiasing.causal_head import CausalHead, make_head
from cider.model.cider import CIDer
from cider.models.backbone import Backbone, HasAuxiliaryLoss, JointRepresentation
from mer_data.errors import MerDataError
from mer_data.torch_data.batches import Batch


@dataclass(frozen=True)
class BackboneOutput:
    """Output of a forward pass.

    Attributes:
        log_probabilities: (B, C) log P(Y|do(L)), or log P(Y) without label debiasing.
        representation: of the backbone.
    """

    log_probabilities: Tensor
    representation: JointRepresentation

    @property
    def joint(self) -> Tensor:
        """(B, h) joint representation."""
        return self.representation.joint


class BackboneModel(nn.Module):
    """Class scores from a backbone's joint representation, through the causal head or a plain one.

    While training, the causal head uses the training priors and class means; in evaluation mode, equal priors
    and the mean of the class means (paper footnote 4).

    Attributes:
        backbone: the module that encodes.
        head: the classifier on its joint representation.
    """

    def __init__(
        self, backbone: nn.Module, num_classes: int, *, class_widths: tuple[int, int, int] | None = None
    ) -> None:
        """Put a fresh head on a backbone.

        Args:
            backbone: a `Backbone`.
            num_classes: C.
            class_widths: d_l, d_a, d_v of the class means, for the causal head; None: the plain one.

        Raises:
            MerDataError: the module is no `Backbone`.
        """
        super().__init__()
        if not isinstance(backbone, nn.Module) or not isinstance(backbone, Backbone):
            raise MerDataError(
                "not a backbone",
                found=type(backbone).__name__,
                expected="a torch module with `width` and `encode(batch)`",
            )
        width = backbone.width
        if not isinstance(width, int) or width < 1:
            raise MerDataError(
                f"the width of {type(backbone).__name__} is no positive number", found=repr(width)
            )
        self.backbone = backbone
        self.head = make_head(width, num_classes, class_widths)

    @property
    def text_encoder(self) -> nn.Module:
        """The module with which the backbone reads texts.

        Raises:
            MerDataError: the backbone has none.
        """
        encoder = getattr(self.backbone, "text_encoder", None)
        if not isinstance(encoder, nn.Module):
            raise MerDataError(
                f"{type(self.backbone).__name__} keeps no text encoder",
                do="Assign the one it is given to self.text_encoder",
            )
        return encoder

    def forward(self, batch: Batch) -> BackboneOutput:
        """Predict.

        Raises:
            MerDataError: ``encode`` gives no joint representation, or one of another shape than the backbone
                declares.
        """
        representation = cast(Backbone, self.backbone).encode(batch)
        if not isinstance(representation, JointRepresentation) or not isinstance(
            representation.joint, Tensor
        ):
            inner = (
                representation.joint if isinstance(representation, JointRepresentation) else representation
            )
            raise MerDataError(
                f"encode of {type(self.backbone).__name__} gives no joint representation",
                found=type(inner).__name__,
                expected=f"a JointRepresentation of a tensor (B, {self.backbone.width})",
                do="Return JointRepresentation(joint), of cider.models.backbone",
            )
        found, expected = tuple(representation.joint.shape), (len(batch), self.backbone.width)
        if found != expected:
            raise MerDataError(
                f"the joint representation of {type(self.backbone).__name__} has another shape than its"
                " `width` says",
                found=found,
                expected=expected,
            )
        log_probabilities = self.head(
            representation.joint, intervention="training" if self.training else "test"
        )
        return BackboneOutput(log_probabilities, representation)

    def auxiliary_loss(
        self, representation: JointRepresentation, batch: Batch, classes: Tensor
    ) -> Tensor | None:
        """The backbone's own loss (see `HasAuxiliaryLoss`), 0-dimensional; None where it has none.

        Raises:
            MerDataError: it is no tensor, or not 0-dimensional.
        """
        if not isinstance(self.backbone, HasAuxiliaryLoss):
            return None
        loss = self.backbone.auxiliary_loss(representation, batch, classes)
        if not isinstance(loss, Tensor) or loss.ndim:
            raise MerDataError(
                f"the auxiliary loss of {type(self.backbone).__name__} is no single number",
                found=f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__,
                do="Take its mean over the utterances",
            )
        return loss


SentimentModel = CIDer | BackboneModel
"""Model that is trained and evaluated."""


def text_reader(model: SentimentModel) -> nn.Module:
    """The module whose attribute ``text_encoder`` reads the texts."""
    return model.backbone if isinstance(model, BackboneModel) else model


def causal_head_size(
    joint_width: int, num_classes: int, class_widths: tuple[int, int, int] = (768, 5, 20), width: int = 32
) -> int:
    """Number of parameters of the causal head.

    With BERT base, h wide and C classes: 31,808 + C^2 (h + 97) on CMU-MOSI (audio 5, vision 20), and 34,496 +
    C^2 (h + 97) on CMU-MOSEI (audio 74, vision 35). A plain head has C (h + 1) in its place.

    Args:
        joint_width: h.
        num_classes: C.
        class_widths: d_l, d_a, d_v; 0 for a modality that the store does not have.
        width: of each of the three parts of a class embedding.
    """
    present = [features for features in class_widths if features > 0]
    first = sum(features * width + width for features in present)
    others = len(present) * 2 * (width * width + width)
    return first + others + num_classes**2 * (joint_width + len(present) * width + 1)


def count_parameters(model: SentimentModel, *, include_text_encoder: bool) -> int:
    """Number of parameters; the paper's Table VI leaves the text encoder out."""
    total = _count(model)
    return total if include_text_encoder else total - _count(model.text_encoder)


def causal_parameter_count(model: SentimentModel) -> int:
    """Number of parameters label debiasing adds (MACI in paper Table VI); 0 when it is off."""
    return _count(model.head) if isinstance(model.head, CausalHead) else 0


def parameter_groups(model: SentimentModel) -> dict[str, list[nn.Parameter]]:
    """Every parameter once, by how it is optimised (method section 4).

    Returns:
        ``text_encoder_decay``: the encoder's weight matrices; ``text_encoder_plain``: its biases and
            LayerNorm, known
        by being vectors, without weight decay; ``rest``: everything else.
    """
    encoder = list(model.text_encoder.parameters())
    known = {id(parameter) for parameter in encoder}
    return {
        "text_encoder_decay": [parameter for parameter in encoder if parameter.ndim > 1],
        "text_encoder_plain": [parameter for parameter in encoder if parameter.ndim <= 1],
        "rest": [parameter for parameter in model.parameters() if id(parameter) not in known],
    }


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
