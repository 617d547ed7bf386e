"""CIDer: text encoder, alignment, fusion, pooling and the classifier, in one module (paper section III).

Letters: B batch, T_l/T_a/T_v steps in the batch, d_l/d_a/d_v feature widths, d model width, C classes, H
heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from cider.model.attention import AttentionLogits
from cider.model.causal_head import CausalHead, PlainHead
from cider.model.masking import zero_padding
from cider.model.pooling import AttentivePooling, JointHead
from cider.model.reconstruction import Reconstruction, ReconstructionHeads
from cider.model.shapes import Architecture, FeatureShapes
from cider.model.transformer import Blocks, CompositeTransformer
from cider.model.word_alignment import WordAlignment
from mer_data.batches import Batch, SpecialTokens
from mer_data.dropout import Dropout
from mer_data.errors import MerDataError

if TYPE_CHECKING:
    from cider.inference import SentimentPredictor


@dataclass(frozen=True)
class CIDerOutput:
    """What a forward pass gives.

    Attributes:
        log_probabilities: (B, C) log P(Y|do(L)).
        joint: (B, 3d) joint representation h_m.
    """

    log_probabilities: Tensor
    joint: Tensor


@dataclass(frozen=True)
class DistillationOutput(CIDerOutput):
    """A forward pass with what the distillation losses compare.

    Attributes:
        text_features: (B, T_l, d_l) text encoder output before dropout, zero at padding.
        attention_logits: tri logits of the last layer.
        fused: text, audio and vision out of the MCT, each (B, T_l, d), zero at padding.
    """

    text_features: Tensor
    attention_logits: AttentionLogits
    fused: Blocks


class CIDer(nn.Module):
    """The model. A prediction depends on its utterance alone, not on padding, order or company in the batch.

    While training, the head uses the training priors and class means; in evaluation mode, equal priors and
    the mean of the class means (paper footnote 4).
    """

    def __init__(
        self,
        text_encoder: nn.Module,
        *,
        shapes: FeatureShapes,
        architecture: Architecture,
        num_classes: int,
        special: SpecialTokens,
    ) -> None:
        """Build the model around a text encoder.

        Args:
            text_encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l).
            shapes: of the features.
            architecture: of the model.
            num_classes: C.
            special: word piece ids with a role.
        """
        super().__init__()
        width = architecture.width
        widths = (shapes.text_width, shapes.audio_width, shapes.vision_width)
        self.shapes = shapes
        self.special = special
        self.text_encoder = text_encoder
        self.embedding_dropout = Dropout(architecture.embedding_dropout)
        # A 1x1 convolution without bias is this linear map of every step.
        self.projections = nn.ModuleList(nn.Linear(features, width, bias=False) for features in widths)
        self.alignments = nn.ModuleList(WordAlignment(width) for _ in range(0 if shapes.aligned else 2))
        self.recurrences = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(3))
        self.transformer = CompositeTransformer(architecture, text_length=shapes.text_length)
        self.poolings = nn.ModuleList(AttentivePooling(width) for _ in range(3))
        self.joint_head = JointHead(3 * width, architecture.output_dropout)
        self.head: CausalHead | PlainHead
        if architecture.label_debiasing:
            self.head = CausalHead(3 * width, num_classes, widths, width)
        else:
            self.head = PlainHead(3 * width, num_classes)
        self.reconstruction_heads = ReconstructionHeads(width, shapes)

    @classmethod
    def load(cls, run: str | Path, *, tau: float | None = None) -> SentimentPredictor:
        """A trained run, ready to predict: ``CIDer.load(run).predict(store)``.

        Args:
            run: its folder.
            tau: debiasing strength; None takes the one that validation chooses.

        Raises:
            RunError: no run, or a damaged one.
        """
        from cider.inference import SentimentPredictor  # it needs this module

        return SentimentPredictor.load(run, tau=tau)

    def forward(self, batch: Batch, *, for_distillation: bool = False) -> CIDerOutput:
        """Predict.

        Args:
            batch: B utterances; text masks are True on a first run of steps, as `Batch` pads on the right.
            for_distillation: return a `DistillationOutput`.

        Raises:
            MerDataError: if the batch does not have the shapes the model was built for.
        """
        self._check(batch)
        mask = batch.text_mask
        text_features = zero_padding(self.text_encoder(batch.input_ids, mask), mask)
        steps = self._on_text_steps(batch, self.embedding_dropout(text_features))
        recurrent = [
            zero_padding(recurrence(block)[0], mask)
            for recurrence, block in zip(self.recurrences, steps, strict=True)
        ]
        fused, logits = self.transformer(tuple(recurrent), mask, with_logits=for_distillation)
        pooled = [pool(block, mask) for pool, block in zip(self.poolings, fused, strict=True)]
        joint = self.joint_head(torch.cat(pooled, dim=-1))
        log_probabilities = self.head(joint, intervention="training" if self.training else "test")
        if logits is None:
            return CIDerOutput(log_probabilities, joint)
        return DistillationOutput(log_probabilities, joint, text_features, logits, fused)

    def reconstruct(self, output: CIDerOutput) -> Reconstruction:
        """Reconstruct the features from the fused steps of ``output`` (training only, paper eq. 16).

        Raises:
            ValueError: if ``output`` was not made for distillation.
        """
        if not isinstance(output, DistillationOutput):
            raise ValueError("the output has no fused steps: call the model with for_distillation=True")
        return self.reconstruction_heads(output.fused)

    def _on_text_steps(self, batch: Batch, text_features: Tensor) -> Blocks:
        """Text, audio and vision in width d on the steps of the text (paper eq. 3 and 4)."""
        frames = (
            zero_padding(batch.audio, batch.audio_mask),
            zero_padding(batch.vision, batch.vision_mask),
        )
        text, audio, vision = (
            project(features)
            for project, features in zip(self.projections, (text_features, *frames), strict=True)
        )
        if self.shapes.aligned:
            missing = [text.shape[1] - block.shape[1] for block in (audio, vision)]
            return (
                text,
                functional.pad(audio, (0, 0, 0, missing[0])),
                functional.pad(vision, (0, 0, 0, missing[1])),
            )
        role = (batch.input_ids == self.special.cls) | (batch.input_ids == self.special.sep)
        words = batch.text_mask & ~role
        align_audio, align_vision = self.alignments
        return (
            text,
            align_audio(text, audio, words, batch.audio_mask),
            align_vision(text, vision, words, batch.vision_mask),
        )

    def _check(self, batch: Batch) -> None:
        """Compare a batch's shapes with the model's; the MCT checks the number of word pieces."""
        steps = batch.input_ids.shape[1]
        for name, features, width in (
            ("audio", batch.audio, self.shapes.audio_width),
            ("vision", batch.vision, self.shapes.vision_width),
        ):
            if features.shape[-1] != width:
                raise MerDataError(
                    f"{name} frames have another width than the model was built for",
                    found=features.shape[-1],
                    expected=width,
                )
            if self.shapes.aligned and features.shape[1] > steps:
                raise MerDataError(
                    f"the model is for aligned data, but a batch has more {name} frames than word pieces",
                    found=f"{features.shape[1]} frames",
                    expected=f"at most {steps}",
                )


def count_parameters(model: CIDer, *, include_text_encoder: bool) -> int:
    """Number of parameters; the paper's Table VI leaves the text encoder out."""
    total = _count(model)
    return total if include_text_encoder else total - _count(model.text_encoder)


def causal_parameter_count(model: CIDer) -> int:
    """Number of parameters label debiasing adds (MACI in paper Table VI); 0 when it is off."""
    return _count(model.head) if isinstance(model.head, CausalHead) else 0


def parameter_groups(model: CIDer) -> dict[str, list[nn.Parameter]]:
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
