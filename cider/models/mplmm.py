"""MPLMM (ACL 2024) without its last layer: MulT with prompts for modalities that are lost.

Written from the facts of docs/baselines.md, which also counts the parameters and lists what was decided.
Letters: B batch, T steps, L a modality's greatest number of steps, S prompt length, d width; modalities in
the order text, audio, vision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from cider.model.architecture import DropoutRate, FeatureShapes, Heads, Layers, Width
from cider.model.pooling import JointHead
from cider.models.backbone import JointRepresentation
from cider.models.settings import BackboneSettings
from cider.models.shared.mult_encoder import EncoderSettings, MultEncoder
from cider.models.shared.steps import Steps, check_batch
from mer_data.files.strict_model import WholeNumber
from mer_data.torch_data.batches import Batch, SpecialTokens

#: For each modality, the two others.
OTHERS = ((1, 2), (0, 2), (0, 1))
#: Standard deviation of prompts before training. With zeros, as released, the type prompts never learn.
PROMPT_SCALE = 0.02


class MPLMMSettings(BackboneSettings):
    """Defaults are the published ones, the same for both corpora.

    Attributes:
        width: d.
        heads: attention heads.
        layers: of every encoder.
        prompt_length: S, of the generators' prompts and of the type prompts.
        attention_dropout: on attention weights.
        embedding_dropout: on what enters an encoder.
        relu_dropout: in feed-forward networks.
        residual_dropout: on what is added to a residual.
        output_dropout: in the residual head.
    """

    width: Width = 30
    heads: Heads = 5
    layers: Layers = 5
    prompt_length: WholeNumber = Field(default=16, ge=1, le=1024)
    attention_dropout: DropoutRate = 0.1
    embedding_dropout: DropoutRate = 0.25
    relu_dropout: DropoutRate = 0.1
    residual_dropout: DropoutRate = 0.1
    output_dropout: DropoutRate = 0.1

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> MPLMMSettings:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {self.width}")
        return self

    def encoder(self) -> EncoderSettings:
        """Every encoder."""
        return EncoderSettings(
            layers=self.layers,
            heads=self.heads,
            attention_dropout=self.attention_dropout,
            embedding_dropout=self.embedding_dropout,
            relu_dropout=self.relu_dropout,
            residual_dropout=self.residual_dropout,
        )


def lost_modalities(batch: Batch, special: SpecialTokens) -> Tensor:
    """(B, 3) bool, True where nothing is left of text, audio or vision, as the model sees the utterance.

    Text is lost when every piece but [CLS] and [SEP] is [UNK], frames when all their values are zero; a
    modality that never had a piece or frame is lost too. Of what is lost in part, nothing is said.
    """
    ids = batch.input_ids
    nothing = (ids == special.cls) | (ids == special.sep) | (ids == special.unk) | ~batch.text_mask
    frames = [
        (values == 0).all(dim=-1) | ~mask
        for values, mask in ((batch.audio, batch.audio_mask), (batch.vision, batch.vision_mask))
    ]
    return torch.stack([steps.all(dim=1) for steps in (nothing, *frames)], dim=1)


class Generator(nn.Module):
    """Features of one modality from a prompt and those others that are there.

    Each other modality goes through a 1x1 convolution and a GELU; joined along time behind the prompt, a
    linear layer over time and a GELU make L steps. There is a layer for each set that may be there: the first
    of the others, the second, both.
    """

    def __init__(
        self, widths: Sequence[int], lengths: Sequence[int], *, length: int, width: int, prompt_length: int
    ) -> None:
        """Build the layers.

        Args:
            widths: features of the two others.
            lengths: greatest numbers of steps of the two others.
            length: L.
            width: d.
            prompt_length: S.
        """
        super().__init__()
        self.lengths = tuple(lengths)
        self.prompt = nn.Parameter(PROMPT_SCALE * torch.randn(prompt_length, width))
        self.maps = nn.ModuleList(nn.Linear(features, width) for features in widths)
        first, second = lengths
        self.over_time = nn.ModuleList(
            nn.Linear(prompt_length + steps, length) for steps in (first, second, first + second)
        )

    def forward(self, others: Sequence[Steps], there: Tensor) -> Tensor:
        """Generate.

        Args:
            others: features of the two others as they come, each (B, T, features).
            there: (B, 2) bool, which of them may be used.

        Returns:
            (B, L, d); zeros where neither is there.
        """
        first, second = (
            steps.replaced(functional.gelu(to_width(steps.values))).fixed(length)
            for to_width, steps, length in zip(self.maps, others, self.lengths, strict=True)
        )
        prompt = self.prompt.expand(len(there), -1, -1)
        has_first, has_second = there.unbind(dim=1)
        cases = (
            (has_first & ~has_second, (prompt, first)),
            (~has_first & has_second, (prompt, second)),
            (has_first & has_second, (prompt, first, second)),
        )
        # All three for every utterance: cheap beside the encoders, and no weight is ever without a gradient.
        generated = [
            functional.gelu(over_time(torch.cat(parts, dim=1).transpose(1, 2))).transpose(1, 2)
            .where(case.view(-1, 1, 1), 0.0)
            for over_time, (case, parts) in zip(self.over_time, cases, strict=True)
        ]  # fmt: skip
        return torch.stack(generated).sum(dim=0)


class TypePrompts(nn.Module):
    """Which modalities are lost: a signal on their steps, and steps at the end of every sequence."""

    def __init__(self, lengths: Sequence[int], *, width: int, prompt_length: int) -> None:
        """Build prompts for modalities of at most ``lengths`` steps, all of random start."""
        super().__init__()
        self.signals = nn.ParameterList(PROMPT_SCALE * torch.randn(2, length, width) for length in lengths)
        # Products with these two keep the scale of the signals.
        self.mixers = nn.ParameterList(torch.randn(length, 2 * width) / length**0.5 for length in lengths)
        self.prompts = nn.ParameterList(torch.randn(prompt_length, width) / width**0.5 for _ in lengths)

    def signal(self, number: int, lost: Tensor, steps: int) -> Tensor:
        """(B, T, d) for the first T steps of a modality that is lost (B,) or not: "lost" or "present"."""
        present, missing = self.signals[number][:, :steps]
        return torch.where(lost.view(-1, 1, 1), missing, present)

    def forward(self, lost: Tensor) -> list[Tensor]:
        """For each modality (B, S, 2d), of which modalities (B, 3) are lost: P_m sum_k signal_k^T M_k."""
        mixed = torch.zeros((), device=lost.device)
        for signals, mixer, missing in zip(self.signals, self.mixers, lost.unbind(dim=1), strict=True):
            present, absent = signals.transpose(1, 2) @ mixer
            mixed = mixed + torch.where(missing.view(-1, 1, 1), absent, present)
        return [prompt @ mixed for prompt in self.prompts]


class MPLMM(nn.Module):
    """Backbone of width 6d: six crossings, three memories of width 2d, a residual head on the last steps."""

    Settings = MPLMMSettings

    def __init__(
        self,
        *,
        text_encoder: nn.Module,
        shapes: FeatureShapes,
        num_classes: int,
        special: SpecialTokens,
        settings: MPLMMSettings,
    ) -> None:
        """Build the model; see `cider.models.registry.BackboneFactory`. It has no classes of its own."""
        super().__init__()
        d, count, encoder = settings.width, settings.prompt_length, settings.encoder()
        self.shapes, self.special, self.width = shapes, special, 6 * d
        self.text_encoder = text_encoder
        widths, lengths = shapes.widths, shapes.lengths
        self.projections = nn.ModuleList(nn.Linear(features, d, bias=False) for features in widths)
        self.generators = nn.ModuleList(
            Generator(
                [widths[k] for k in others],
                [lengths[k] for k in others],
                length=length,
                width=d,
                prompt_length=count,
            )
            for others, length in zip(OTHERS, lengths, strict=True)
        )
        self.type_prompts = TypePrompts(lengths, width=d, prompt_length=count)
        self.crossings = nn.ModuleList(
            nn.ModuleList(MultEncoder(d, encoder, length=max(length, lengths[k])) for k in others)
            for others, length in zip(OTHERS, lengths, strict=True)
        )
        self.memories = nn.ModuleList(
            MultEncoder(2 * d, encoder, length=length + count) for length in lengths
        )
        self.joint_head = JointHead(6 * d, settings.output_dropout)

    def encode(self, batch: Batch) -> JointRepresentation:
        """Output of the residual head (B, 6d).

        Raises:
            MerDataError: if the batch does not have the shapes the model was built for.
        """
        check_batch(batch, self.shapes)
        lost = lost_modalities(batch, self.special)
        inputs = self._inputs(batch, lost)
        last = []
        for number, (others, prompt) in enumerate(zip(OTHERS, self.type_prompts(lost), strict=True)):
            steps = inputs[number]
            crossed = [
                crossing(steps, inputs[k]).values
                for crossing, k in zip(cast(nn.ModuleList, self.crossings[number]), others, strict=True)
            ]
            prompted = steps.replaced(torch.cat(crossed, dim=-1)).followed_by(prompt)
            last.append(self.memories[number](prompted).last())
        return JointRepresentation(self.joint_head(torch.cat(last, dim=-1)))

    def _inputs(self, batch: Batch, lost: Tensor) -> list[Steps]:
        """Text, audio and vision in width d: projected or, where lost, generated; with their signals."""
        text = self.text_encoder(batch.input_ids, batch.text_mask)
        raw = (
            Steps.from_mask(text, batch.text_mask),
            Steps.from_mask(batch.audio, batch.audio_mask),
            Steps.from_mask(batch.vision, batch.vision_mask),
        )
        inputs = []
        for number, (steps, others) in enumerate(zip(raw, OTHERS, strict=True)):
            generated = self.generators[number]([raw[k] for k in others], ~lost[:, others])
            own, count = self.projections[number](steps.values), steps.values.shape[1]
            missing = lost[:, number]
            values = torch.where(missing.view(-1, 1, 1), generated[:, :count], own)
            inputs.append(steps.replaced(values + self.type_prompts.signal(number, missing, count)))
        return inputs
