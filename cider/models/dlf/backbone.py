"""DLF (arXiv 2412.12225) without its last layer: shared and specific features, fused around the language.

Written from the facts of docs/baselines.md, which also counts the parameters and lists what was decided.
Letters: B batch, T steps, k kernel, d width, C classes; modalities in the order text, audio, vision.
"""

from __future__ import annotations

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from cider.model.architecture import DropoutRate, FeatureShapes, Heads, Layers, Width
from cider.model.masking import zero_padding
from cider.model.pooling import JointHead
from cider.models.backbone import JointRepresentation
from cider.models.dlf.losses import margin_loss, orthogonality, restored
from cider.models.settings import BackboneSettings
from cider.models.shared.mult_encoder import EncoderSettings, MultEncoder
from cider.models.shared.steps import Steps, check_batch
from mer_data.files.strict_model import Number, WholeNumber
from mer_data.text.dropout import Dropout
from mer_data.torch_data.batches import Batch, SpecialTokens

MODALITIES = ("text", "audio", "vision")
#: Weights of the auxiliary cross-entropies: shared features, then language, audio and vision.
COMMON_WEIGHT, SPECIFIC_WEIGHTS = 1.0, (3.0, 1.0, 1.0)
#: Weights of what takes modalities apart and, within that, of margin and orthogonality.
DISENTANGLING_WEIGHT, APART_WEIGHT = 0.1, 0.1


class DLFSettings(BackboneSettings):
    """Defaults are MOSI's. For MOSEI: kernel 3, dropout of text 0.1, attention 0.5 (audio 0), embedding 0.

    Attributes:
        width: d.
        heads: attention heads.
        layers: of every encoder but the two ``memory_layers`` are for.
        memory_layers: of the self-attention after language has attended to audio, and to vision.
        kernel: k, of the convolution over each modality's features.
        text_dropout: on the text encoder's output.
        attention_dropout: on attention weights.
        audio_attention_dropout: the same where the keys are audio.
        embedding_dropout: on what enters an encoder.
        relu_dropout: in feed-forward networks; the facts name none.
        residual_dropout: on what is added to a residual; the facts name none.
        output_dropout: in the residual heads.
        margin: of the margin loss, per class of distance.
    """

    width: Width = 50
    heads: Heads = 10
    layers: Layers = 2
    memory_layers: Layers = 3
    kernel: WholeNumber = Field(default=5, ge=1, le=999)
    text_dropout: DropoutRate = 0.5
    attention_dropout: DropoutRate = 0.3
    audio_attention_dropout: DropoutRate = 0.2
    embedding_dropout: DropoutRate = 0.2
    relu_dropout: DropoutRate = 0.0
    residual_dropout: DropoutRate = 0.0
    output_dropout: DropoutRate = 0.5
    margin: Number = Field(default=0.15, ge=0, le=1000)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> DLFSettings:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {self.width}")
        return self

    def encoder(self, layers: int, *, of_audio: bool = False) -> EncoderSettings:
        """An encoder of so many layers, whose keys are audio or not."""
        return EncoderSettings(
            layers=layers,
            heads=self.heads,
            attention_dropout=self.audio_attention_dropout if of_audio else self.attention_dropout,
            embedding_dropout=self.embedding_dropout,
            relu_dropout=self.relu_dropout,
            residual_dropout=self.residual_dropout,
        )


class ValidConvolution(nn.Module):
    """Convolution over time without bias or padding, and at least one step of output.

    n steps become n - k + 1, each of k real ones. Fewer than k steps are followed by zeros up to k.
    """

    def __init__(self, features: int, width: int, kernel: int) -> None:
        """Build the layer; ``kernel`` is k."""
        super().__init__()
        self.kernel = kernel
        self.convolution = nn.Conv1d(features, width, kernel, bias=False)

    def length(self, steps: int) -> int:
        """Steps that come out when ``steps`` come in."""
        return max(steps - self.kernel + 1, 1)

    def forward(self, steps: Steps) -> Steps:
        """(B, T', d) from steps (B, T, features)."""
        values = functional.pad(steps.values, (0, 0, 0, max(0, self.kernel - steps.values.shape[1])))
        output = self.convolution(values.transpose(1, 2)).transpose(1, 2)
        lengths = (steps.lengths - self.kernel + 1).clamp(min=1)
        return Steps(output, lengths).replaced(output)


class DLF(nn.Module):
    """Backbone of width 6d. Training adds ``auxiliary_loss``; evaluation runs nothing of it."""

    Settings = DLFSettings

    def __init__(
        self,
        *,
        text_encoder: nn.Module,
        shapes: FeatureShapes,
        num_classes: int,
        special: SpecialTokens,
        settings: DLFSettings,
    ) -> None:
        """Build the model; see `cider.models.registry.BackboneFactory`. Special tokens have no role in it."""
        super().__init__()
        d, dropout = settings.width, settings.output_dropout
        self.shapes, self.margin, self.width = shapes, settings.margin, 6 * d
        self.text_encoder = text_encoder
        self.text_dropout = Dropout(settings.text_dropout)
        convolutions = [ValidConvolution(features, d, settings.kernel) for features in shapes.widths]
        self.convolutions = nn.ModuleList(convolutions)
        lengths = [
            convolution.length(steps) for convolution, steps in zip(convolutions, shapes.lengths, strict=True)
        ]
        plain = settings.encoder(settings.layers)
        by_modality = [settings.encoder(settings.layers, of_audio=name == "audio") for name in MODALITIES]
        memory = settings.encoder(settings.memory_layers)
        # Apart: what modalities share, and what is specific.
        self.shared_encoder = MultEncoder(d, plain, length=max(lengths))
        self.specific_encoders = nn.ModuleList(
            MultEncoder(d, each, length=steps) for each, steps in zip(by_modality, lengths, strict=True)
        )
        self.decoders = nn.ModuleList(nn.Linear(2 * d, d, bias=False) for _ in MODALITIES)
        self.margin_maps = nn.ModuleList(nn.Linear(d * steps, d) for steps in lengths)
        # Shared features.
        self.common_encoders = nn.ModuleList(
            MultEncoder(d, each, length=steps) for each, steps in zip(by_modality, lengths, strict=True)
        )
        self.common_head = JointHead(3 * d, dropout)
        # Specific features: language asks itself, audio and vision.
        self.crossings = nn.ModuleList(
            MultEncoder(d, each, length=max(lengths[0], steps))
            for each, steps in zip(by_modality[1:], lengths[1:], strict=True)
        )
        self.memories = nn.ModuleList(
            MultEncoder(d, each, length=lengths[0]) for each in (plain, memory, memory)
        )
        self.specific_heads = nn.ModuleList(JointHead(d, dropout) for _ in MODALITIES)
        # Together.
        self.gates = nn.ModuleList(nn.Linear(d, d) for _ in MODALITIES)
        self.common_gate = nn.Linear(3 * d, 3 * d)
        self.joint_head = JointHead(6 * d, dropout)
        self.common_classifier = nn.Linear(3 * d, num_classes)
        self.specific_classifiers = nn.ModuleList(nn.Linear(d, num_classes) for _ in MODALITIES)

    def encode(self, batch: Batch) -> JointRepresentation:
        """Output of the last residual head (B, 6d), with what `auxiliary_loss` needs.

        Raises:
            MerDataError: if the batch does not have the shapes the model was built for.
        """
        check_batch(batch, self.shapes)
        inputs = self._inputs(batch)
        shared = [self.shared_encoder(steps) for steps in inputs]
        specific = [encoder(steps) for encoder, steps in zip(self.specific_encoders, inputs, strict=True)]
        common = torch.cat(
            [encoder(steps).last() for encoder, steps in zip(self.common_encoders, shared, strict=True)],
            dim=-1,
        )
        language, *others = specific
        asked = [
            language,
            *(crossing(language, steps) for crossing, steps in zip(self.crossings, others, strict=True)),
        ]
        tasks = [
            head(memory(steps).last())
            for head, memory, steps in zip(self.specific_heads, self.memories, asked, strict=True)
        ]
        gated = [gate(task).sigmoid() for gate, task in zip(self.gates, tasks, strict=True)]
        joint = self.joint_head(torch.cat([*gated, self.common_gate(common).sigmoid()], dim=-1))
        extras = {"common": common}
        for number, name in enumerate(MODALITIES):
            extras[f"task_{name}"] = tasks[number]
            extras[f"length_{name}"] = inputs[number].lengths
            for part, steps in (("input", inputs), ("shared", shared), ("specific", specific)):
                extras[f"{part}_{name}"] = steps[number].values
        return JointRepresentation(joint, extras)

    def auxiliary_loss(self, representation: JointRepresentation, batch: Batch, classes: Tensor) -> Tensor:
        """Cross-entropies of the heads before fusion, and what keeps shared and specific features apart.

        CE(q_c) + 3 CE(q_l) + CE(q_a) + CE(q_v)
        + 0.1 (MSE(sr, s) + MSE(xr, x) + 0.1 (margin + orthogonality)).
        """
        extras = representation.extras
        common = self.common_classifier(self.common_head(extras["common"]))
        classified = COMMON_WEIGHT * functional.cross_entropy(common, classes)
        vectors = []
        kept = apart = torch.zeros((), device=classes.device)
        for number, name in enumerate(MODALITIES):
            task = self.specific_classifiers[number](extras[f"task_{name}"])
            classified = classified + SPECIFIC_WEIGHTS[number] * functional.cross_entropy(task, classes)
            inputs, shared, specific = (
                Steps(extras[f"{part}_{name}"], extras[f"length_{name}"])
                for part in ("input", "shared", "specific")
            )
            rebuilt = inputs.replaced(
                self.decoders[number](torch.cat([specific.values, shared.values], dim=-1))
            )
            again = self.specific_encoders[number](rebuilt)
            kept = kept + restored(again, specific) + restored(rebuilt, inputs)
            apart = apart + orthogonality(specific, shared)
            vectors.append(self._margin_vector(number, shared))
        apart = apart + margin_loss(torch.cat(vectors), classes.repeat(len(MODALITIES)), self.margin)
        return classified + DISENTANGLING_WEIGHT * (kept + APART_WEIGHT * apart)

    def _inputs(self, batch: Batch) -> list[Steps]:
        """Text, audio and vision in width d, each (B, T', d)."""
        mask = batch.text_mask
        text = self.text_dropout(zero_padding(self.text_encoder(batch.input_ids, mask), mask))
        raw = (
            Steps.from_mask(text, mask),
            Steps.from_mask(batch.audio, batch.audio_mask),
            Steps.from_mask(batch.vision, batch.vision_mask),
        )
        return [convolution(steps) for convolution, steps in zip(self.convolutions, raw, strict=True)]

    def _margin_vector(self, number: int, shared: Steps) -> Tensor:
        """u (B, d) of the shared features of one modality, all their steps in one row."""
        to_vector = self.margin_maps[number]
        steps = to_vector.get_parameter("weight").shape[1] // shared.values.shape[-1]
        vector: Tensor = to_vector(shared.fixed(steps).flatten(1))
        return vector
