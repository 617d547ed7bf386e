"""Reconstruction heads: the original features from the fused steps, for training only (paper eq. 16)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from cider.model.architecture import FeatureShapes
from cider.model.masking import pad_steps


@dataclass(frozen=True)
class Reconstruction:
    """Reconstructed features.

    Attributes:
        text: (B, T, d_l), T the fused steps of the batch and at most text_length.
        audio: (B, audio_length, d_a).
        vision: (B, vision_length, d_v).
    """

    text: Tensor
    audio: Tensor
    vision: Tensor


class FrameReconstruction(nn.Module):
    """Linear over time (fused steps to length), ReLU, Linear over features (d to the frame's width)."""

    def __init__(self, width: int, *, steps: int, length: int, frame_width: int) -> None:
        """Build the two linear layers for at most ``steps`` fused steps."""
        super().__init__()
        self.over_time = nn.Linear(steps, length)
        self.to_frame = nn.Linear(width, frame_width)

    def forward(self, fused: Tensor) -> Tensor:
        """(B, length, frame width) from fused steps (B, T, d), zero from ``steps`` on."""
        # The weights belong to absolute steps: a shorter batch is one whose last steps are zero.
        padded = pad_steps(fused, self.over_time.in_features)
        frames = self.over_time(padded.transpose(1, 2)).transpose(1, 2)
        return self.to_frame(frames.relu())


class ReconstructionHeads(nn.Module):
    """One head per modality."""

    def __init__(self, width: int, shapes: FeatureShapes, steps: tuple[int, int, int]) -> None:
        """Build the heads.

        Args:
            width: d.
            shapes: of what is reconstructed.
            steps: greatest number of fused steps of each modality. Without word alignment these are frames,
                and the map over time is from all of them to all of them: the same head, with more weights.
        """
        super().__init__()
        self.text_steps, audio_steps, vision_steps = steps
        self.text = nn.Linear(width, shapes.text_width)
        self.audio = FrameReconstruction(
            width,
            steps=audio_steps,
            length=shapes.audio_length,
            frame_width=shapes.audio_width,
        )
        self.vision = FrameReconstruction(
            width,
            steps=vision_steps,
            length=shapes.vision_length,
            frame_width=shapes.vision_width,
        )

    def forward(self, fused: tuple[Tensor, Tensor, Tensor]) -> Reconstruction:
        """Reconstruct from the MCT's text, audio and vision output, each (B, T, d) and zero at padding."""
        text, audio, vision = fused
        return Reconstruction(self.text(text[:, : self.text_steps]), self.audio(audio), self.vision(vision))
