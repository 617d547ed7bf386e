"""The floor with all modalities: their means over time, concatenated, and a small MLP."""

from __future__ import annotations

import torch
from torch import nn

from cider.model.architecture import DropoutRate, FeatureShapes, Width
from cider.model.masking import masked_mean
from cider.models.backbone import JointRepresentation
from cider.models.settings import BackboneSettings
from mer_data.text.dropout import Dropout
from mer_data.torch_data.batches import Batch, SpecialTokens


class EarlyFusionSettings(BackboneSettings):
    """Attributes: ``width`` of the two hidden layers, and ``dropout`` after each."""

    width: Width = 64
    dropout: DropoutRate = 0.1


class EarlyFusion(nn.Module):
    """Two hidden layers on the concatenated means of text, audio and vision (B, d_l + d_a + d_v)."""

    Settings = EarlyFusionSettings

    def __init__(
        self,
        *,
        text_encoder: nn.Module,
        shapes: FeatureShapes,
        num_classes: int,
        special: SpecialTokens,
        settings: EarlyFusionSettings,
    ) -> None:
        """Read texts with ``text_encoder``."""
        super().__init__()
        self.text_encoder = text_encoder
        self.width = settings.width
        # Frame features have any scale (pitch in Hz beside probabilities); text features are normalised.
        self.audio_norm, self.vision_norm = (
            nn.LayerNorm(width) for width in (shapes.audio_width, shapes.vision_width)
        )
        self.hidden = nn.Sequential(
            nn.Linear(sum(shapes.widths), settings.width), nn.ReLU(), Dropout(settings.dropout),
            nn.Linear(settings.width, settings.width), nn.ReLU(), Dropout(settings.dropout),
        )  # fmt: skip

    def encode(self, batch: Batch) -> JointRepresentation:
        """The last hidden layer."""
        text = masked_mean(self.text_encoder(batch.input_ids, batch.text_mask), batch.text_mask)
        audio = self.audio_norm(masked_mean(batch.audio, batch.audio_mask))
        vision = self.vision_norm(masked_mean(batch.vision, batch.vision_mask))
        return JointRepresentation(self.hidden(torch.cat([text, audio, vision], dim=1)))
