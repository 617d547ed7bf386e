"""The sizes a CIDer is built from: feature shapes of a store, and the tuned architecture (paper Table II)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from mer_data.errors import MerDataError, RecipeError

Fusion = Literal["composite", "vanilla"]


@dataclass(frozen=True)
class FeatureShapes:
    """Widths and greatest lengths of the three modalities.

    Attributes:
        text_width: features per word piece from the text encoder, d_l.
        audio_width: features per audio frame, d_a; 0 in a store without audio.
        vision_width: features per vision frame, d_v; 0 in a store without vision.
        text_length: greatest number of word pieces, special tokens included. Positions and the reconstruction
            heads depend on it, so a batch may be shorter but never longer.
        audio_length: greatest number of audio frames.
        vision_length: greatest number of vision frames.
        aligned: audio and vision have one frame per word piece, so that their lengths are ``text_length``.

    Raises:
        MerDataError: if a size is not positive (a width of frames: negative), or aligned data have unequal
            lengths.
    """

    text_width: int
    audio_width: int
    vision_width: int
    text_length: int
    audio_length: int
    vision_length: int
    aligned: bool

    def __post_init__(self) -> None:
        """Check the sizes."""
        for field in fields(self):
            least = 0 if field.name in ("audio_width", "vision_width") else 1
            if field.name != "aligned" and getattr(self, field.name) < least:
                raise MerDataError(
                    f"{field.name} is {'not positive' if least else 'negative'}",
                    found=getattr(self, field.name),
                    expected=f"at least {least}",
                )
        lengths = (self.text_length, self.audio_length, self.vision_length)
        if self.aligned and len(set(lengths)) > 1:
            raise MerDataError(
                "aligned data have unequal text, audio and vision lengths",
                found=lengths,
                expected=f"{self.text_length} for each",
            )

    @property
    def absent(self) -> tuple[str, ...]:
        """Those of "audio" and "vision" that the store does not have."""
        widths = {"audio": self.audio_width, "vision": self.vision_width}
        return tuple(modality for modality, width in widths.items() if width == 0)

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Greatest lengths of text, audio and vision."""
        return self.text_length, self.audio_length, self.vision_length


@dataclass(frozen=True)
class Architecture:
    """What is tuned, or switched for a comparison.

    Attributes:
        width: model width d.
        layers: number of MCT layers N.
        heads: attention heads of MCA; WSAM always has one.
        attention_dropout: on the probabilities of the tri attention.
        embedding_dropout: on the text encoder's output, before its projection.
        output_dropout: inside the joint head.
        relu_dropout: after the ReLU of a feed-forward network.
        residual_dropout: on what is added to a residual.
        residual_from_norm: the residual is LN(x), as paper eq. 13 is printed, in place of x.
        label_debiasing: predict through the causal head (MCM); a plain linear classifier otherwise.
        word_alignment: bring unaligned frames onto the steps of the text (WSAM); otherwise the frames are
            fused as they are. Aligned data need none.
        fusion: composite attention (MCA), or vanilla multi-head self-attention over the same steps.

    Raises:
        RecipeError: if the heads do not divide the width, a count is below 1, or a dropout leaves [0, 1).
    """

    width: int = 32
    layers: int = 2
    heads: int = 4
    attention_dropout: float = 0.0
    embedding_dropout: float = 0.0
    output_dropout: float = 0.0
    relu_dropout: float = 0.1
    residual_dropout: float = 0.1
    residual_from_norm: bool = False
    label_debiasing: bool = True
    word_alignment: bool = True
    fusion: Fusion = "composite"

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("width", "layers", "heads"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} is not positive", found=getattr(self, name), expected="at least 1")
        if self.width % self.heads:
            raise RecipeError(
                "the heads do not divide the width", found=f"{self.heads} heads, width {self.width}"
            )
        for field in fields(self):
            if field.name.endswith("_dropout") and not 0 <= getattr(self, field.name) < 1:
                raise RecipeError(
                    f"{field.name} leaves its range",
                    found=getattr(self, field.name),
                    expected="0 <= dropout < 1",
                )
