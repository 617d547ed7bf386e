"""CIDer: text encoder, alignment, fusion, pooling and the classifier, in one module (paper section III).

Letters: B batch, T_l/T_a/T_v steps in the batch, T fused steps of a modality (T_l, or without word alignment
the greatest of the three), d_l/d_a/d_v feature widths, d model width, C classes, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cider.debiasing.causal_head import make_head
from cider.model.architecture import Architecture, FeatureShapes
from cider.model.attention import AttentionLogits
from cider.model.masking import masks_of_blocks, pad_steps, zero_padding
from cider.model.pooling import AttentivePooling, JointHead
from cider.model.reconstruction import Reconstruction, ReconstructionHeads
from cider.model.transformer import Blocks, CompositeTransformer
from cider.model.word_alignment import WordAlignment
from mer_data.errors import MerDataError
from mer_data.text.dropout import Dropout
from mer_data.torch_data.batches import Batch, SpecialTokens


@dataclass(frozen=True)
class CIDerOutput:
    """Output of a forward pass.

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
        fused: text, audio and vision out of the MCT, each (B, T, d), zero at padding.
        fused_mask: (B, T) bool, True at their valid steps, or (B, 3, T), one for each.
    """

    text_features: Tensor
    attention_logits: AttentionLogits
    fused: Blocks
    fused_mask: Tensor


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
        label_debiasing: bool = True,
    ) -> None:
        """Build the model around a text encoder.

        Args:
            text_encoder: called with input_ids (B, T_l) and text_mask (B, T_l), gives (B, T_l, d_l).
            shapes: of the features.
            architecture: of the model.
            num_classes: C.
            special: word piece ids with a role.
            label_debiasing: predict through the causal head (MCM); a plain linear classifier otherwise.
        """
        super().__init__()
        width = architecture.width
        self.shapes = shapes
        self.special = special
        self.text_encoder = text_encoder
        self.embedding_dropout = Dropout(architecture.embedding_dropout)
        # A 1x1 convolution without bias is this linear map of every step.
        self.projections = nn.ModuleList(nn.Linear(features, width, bias=False) for features in shapes.widths)
        self.fuses_frames = not (shapes.aligned or architecture.word_alignment)
        lengths = shapes.lengths if self.fuses_frames else (shapes.text_length,) * 3
        num_alignments = 0 if shapes.aligned or self.fuses_frames else 2
        self.alignments = nn.ModuleList(WordAlignment(width) for _ in range(num_alignments))
        self.recurrences = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(3))
        self.transformer = CompositeTransformer(architecture, lengths=lengths)
        self.poolings = nn.ModuleList(AttentivePooling(width) for _ in range(3))
        self.joint_head = JointHead(3 * width, architecture.output_dropout)
        self.head = make_head(3 * width, num_classes, shapes.widths if label_debiasing else None, width)
        self.reconstruction_heads = ReconstructionHeads(width, shapes, lengths)

    def forward(self, batch: Batch, *, for_distillation: bool = False) -> CIDerOutput:
        """Predict.

        Args:
            batch: B utterances; text masks are True on a first run of steps, as `Batch` pads on the right.
            for_distillation: return a `DistillationOutput`.

        Raises:
            MerDataError: if the batch does not have the shapes the model was built for.
        """
        self._check(batch)
        text_mask = batch.text_mask
        text_features = zero_padding(self.text_encoder(batch.input_ids, text_mask), text_mask)
        steps, mask = self._fused_steps(batch, self.embedding_dropout(text_features))
        masks = masks_of_blocks(mask)
        recurrent = [
            zero_padding(recurrence(block)[0], valid)
            for recurrence, block, valid in zip(self.recurrences, steps, masks, strict=True)
        ]
        fused, logits = self.transformer(tuple(recurrent), mask, with_logits=for_distillation)
        pooled = [pool(block, valid) for pool, block, valid in zip(self.poolings, fused, masks, strict=True)]
        joint = self.joint_head(torch.cat(pooled, dim=-1))
        log_probabilities = self.head(joint, intervention="training" if self.training else "test")
        if logits is None:
            return CIDerOutput(log_probabilities, joint)
        return DistillationOutput(log_probabilities, joint, text_features, logits, fused, mask)

    def reconstruct(self, output: CIDerOutput) -> Reconstruction:
        """Reconstruct the features from the fused steps of ``output`` (training only, paper eq. 16).

        Raises:
            ValueError: if ``output`` was not made for distillation.
        """
        if not isinstance(output, DistillationOutput):
            raise ValueError("the output has no fused steps: call the model with for_distillation=True")
        return self.reconstruction_heads(output.fused)

    def _fused_steps(self, batch: Batch, text_features: Tensor) -> tuple[Blocks, Tensor]:
        """Text, audio and vision (B, T, d), and their mask (B, T) or (B, 3, T) (paper eq. 3 and 4)."""
        frames = (
            zero_padding(batch.audio, batch.audio_mask),
            zero_padding(batch.vision, batch.vision_mask),
        )
        text, audio, vision = (
            project(features)
            for project, features in zip(self.projections, (text_features, *frames), strict=True)
        )
        if self.fuses_frames:
            masks = (batch.text_mask, batch.audio_mask, batch.vision_mask)
            most = max(mask.shape[1] for mask in masks)
            blocks = (pad_steps(text, most), pad_steps(audio, most), pad_steps(vision, most))
            return blocks, torch.stack([pad_steps(mask, most) for mask in masks], dim=1)
        if self.shapes.aligned:
            most = text.shape[1]
            return (text, pad_steps(audio, most), pad_steps(vision, most)), batch.text_mask
        role = (batch.input_ids == self.special.cls) | (batch.input_ids == self.special.sep)
        words = batch.text_mask & ~role
        align_audio, align_vision = self.alignments
        aligned = (
            text,
            align_audio(text, audio, words, batch.audio_mask),
            align_vision(text, vision, words, batch.vision_mask),
        )
        return aligned, batch.text_mask

    def _check(self, batch: Batch) -> None:
        """Compare a batch's shapes with the model's."""
        steps = batch.input_ids.shape[1]
        self._check_length("text", "word pieces", steps)
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
            if self.fuses_frames:
                self._check_length(name, f"{name} frames", features.shape[1])

    def _check_length(self, name: str, what: str, found: int) -> None:
        most = getattr(self.shapes, f"{name}_length")
        if found > most:
            raise MerDataError(
                f"a batch has more {what} than the model was built for",
                found=found,
                expected=f"at most {most}",
                do=f"Build the store with that limit, or the model with a greater {name}_length",
            )
