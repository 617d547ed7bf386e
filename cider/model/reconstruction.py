"""Reconstruction heads: the original features from the fused steps, for training only (paper eq. 16)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from cider.model.shapes import FeatureShapes


@dataclass(frozen=True)
class Reconstruction:
    """Reconstructed features.

    Attributes:
        text: (B, T_l, d_l), T_l the steps of the batch.
        audio: (B, audio_length, d_a).
        vision: (B, vision_length, d_v).
    """

    text: Tensor
    audio: Tensor
    vision: Tensor


class FrameReconstruction(nn.Module):
    """Linear over time (text_length to length), ReLU, Linear over features (d to the frame's width)."""

    def __init__(self, width: int, *, text_length: int, length: int, frame_width: int) -> None:
        """Build the two linear layers."""
        super().__init__()
        self.over_time = nn.Linear(text_length, length)
        self.to_frame = nn.Linear(width, frame_width)

    def forward(self, fused: Tensor) -> Tensor:
        """(B, length, frame width) from fused steps (B, T, d), T at most ``text_length``."""
        # The weights belong to absolute steps: a shorter batch is one whose last steps are zero.
        padded = functional.pad(fused, (0, 0, 0, self.over_time.in_features - fused.shape[1]))
        frames = self.over_time(padded.transpose(1, 2)).transpose(1, 2)
        return self.to_frame(frames.relu())


class ReconstructionHeads(nn.Module):
    """One head per modality."""

    def __init__(self, width: int, shapes: FeatureShapes) -> None:
        """Build the heads for fused steps of ``width`` features."""
        super().__init__()
        self.text = nn.Linear(width, shapes.text_width)
        self.audio = FrameReconstruction(
            width,
            text_length=shapes.text_length,
            length=shapes.audio_length,
            frame_width=shapes.audio_width,
        )
        self.vision = FrameReconstruction(
            width,
            text_length=shapes.text_length,
            length=shapes.vision_length,
            frame_width=shapes.vision_width,
        )

    def forward(self, fused: tuple[Tensor, Tensor, Tensor]) -> Reconstruction:
        """Reconstruct from the MCT's text, audio and vision output, each (B, T_l, d) and zero at padding."""
        text, audio, vision = fused
        return Reconstruction(self.text(text), self.audio(audio), self.vision(vision))
