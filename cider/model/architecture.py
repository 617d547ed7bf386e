"""The sizes a model is built from: feature shapes of a store, and the architecture of CIDer (paper Table II).

Does not import torch. The bounds are the paper's search space with a wide margin: a slip of the keyboard is
refused before it takes the memory of the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mer_data.errors import MerDataError
from mer_data.files.strict_model import Number, StrictModel, WholeNumber

Width = Annotated[WholeNumber, Field(ge=1, le=4096)]
Layers = Annotated[WholeNumber, Field(ge=1, le=64)]
Heads = Annotated[WholeNumber, Field(ge=1, le=256)]
DropoutRate = Annotated[Number, Field(ge=0, lt=1)]
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
        """Modalities among "audio" and "vision" that the store does not have."""
        widths = {"audio": self.audio_width, "vision": self.vision_width}
        return tuple(modality for modality, width in widths.items() if width == 0)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Features of text, audio and vision."""
        return self.text_width, self.audio_width, self.vision_width

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Greatest lengths of text, audio and vision."""
        return self.text_length, self.audio_length, self.vision_length


class Architecture(StrictModel):
    """Hyperparameters of CIDer, tuned or switched for a comparison. Its settings in a recipe extend them.

    Attributes:
        width: model width d.
        layers: number of MCT layers N.
        heads: attention heads of MCA, a divisor of the width; WSAM always has one.
        attention_dropout: on the probabilities of the tri attention.
        embedding_dropout: on the text encoder's output, before its projection.
        output_dropout: inside the joint head.
        relu_dropout: after the ReLU of a feed-forward network.
        residual_dropout: on what is added to a residual.
        residual_from_norm: the residual is LN(x), as paper eq. 13 is printed, in place of x.
        word_alignment: bring unaligned frames onto the steps of the text (WSAM); otherwise the frames are
            fused as they are. Aligned data need none.
        fusion: composite attention (MCA), or vanilla multi-head self-attention over the same steps.
    """

    width: Width = 32
    layers: Layers = 2
    heads: Heads = 4
    attention_dropout: DropoutRate = 0.1
    embedding_dropout: DropoutRate = 0.1
    output_dropout: DropoutRate = 0.1
    relu_dropout: DropoutRate = 0.1
    residual_dropout: DropoutRate = 0.1
    residual_from_norm: bool = False
    word_alignment: bool = True
    fusion: Fusion = "composite"

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Architecture:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {self.width}")
        return self
