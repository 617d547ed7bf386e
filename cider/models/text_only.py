"""The floor of every table: the text alone, averaged over its word pieces."""

from __future__ import annotations

from torch import nn

from cider.model.architecture import FeatureShapes
from cider.model.masking import masked_mean
from cider.models.backbone import JointRepresentation
from cider.models.settings import BackboneSettings
from mer_data.torch_data.batches import Batch, SpecialTokens


class TextOnlySettings(BackboneSettings):
    """Nothing to choose."""


class TextOnly(nn.Module):
    """Mean of the text features (B, d_l); with the head, a linear classifier on a text encoder."""

    Settings = TextOnlySettings
    reads_frames = False

    def __init__(
        self,
        *,
        text_encoder: nn.Module,
        shapes: FeatureShapes,
        num_classes: int,
        special: SpecialTokens,
        settings: TextOnlySettings,
    ) -> None:
        """Read texts with ``text_encoder``."""
        super().__init__()
        self.text_encoder = text_encoder
        self.width = shapes.text_width

    def encode(self, batch: Batch) -> JointRepresentation:
        """Mean over the word pieces, [CLS] and [SEP] included."""
        features = self.text_encoder(batch.input_ids, batch.text_mask)
        return JointRepresentation(masked_mean(features, batch.text_mask))
