"""Interface of a model that MACI can be put on: a width, and ``encode``.

Letters: B batch, T_l/T_a/T_v steps in the batch, h width of the joint representation, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor

from mer_data.torch_data.batches import Batch


@dataclass(frozen=True)
class JointRepresentation:
    """Output of a backbone for B utterances.

    Attributes:
        joint: (B, h) what the head classifies, before any class scores: the head is the last linear layer.
        extras: tensors by name that the backbone's own auxiliary loss needs, each (B, ...), row i of
            utterance i; empty for a backbone without one.
    """

    joint: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Backbone(Protocol):
    """A `torch.nn.Module` without its last layer. MACI needs nothing else of it.

    A backbone that is trained by a recipe (`cider.models.registry`) takes the keyword arguments of
    `cider.models.registry.BackboneFactory`, keeps the text encoder it is given as ``self.text_encoder``, and
    reads the texts of a batch by calling that, once per ``encode``: evaluation puts known features there, so
    that equal texts are encoded once.

    ``encode`` must judge every utterance by itself: masks say what is padding, and a prediction may depend
    neither on padding nor on company in the batch. A batch may be shorter than the store's longest row, and
    an utterance may have no frames at all.

    Attributes:
        width: h.
    """

    width: int

    def encode(self, batch: Batch) -> JointRepresentation:
        """The joint representation (B, h) of a batch; a lost piece is [UNK], a lost frame is zeros."""
        ...


@runtime_checkable
class HasAuxiliaryLoss(Protocol):
    """A backbone with losses of its own, besides the cross-entropy of its head."""

    def auxiliary_loss(self, representation: JointRepresentation, batch: Batch, classes: Tensor) -> Tensor:
        """Return what training adds to the cross-entropy: a mean over the utterances, weights included.

        It runs in float32, in training alone, on what ``encode`` made of the same batch. Where a batch is cut
        into parts, or shared among processes, it is called for every part, and the parts are averaged by
        their numbers of utterances.

        Args:
            representation: of ``encode``.
            batch: B utterances, incomplete as they were encoded.
            classes: (B,) class indices.

        Returns:
            0-dimensional.
        """
        ...
