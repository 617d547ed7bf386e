"""Steps of utterances of unequal length, as the models made of MulT encoders pass them on.

Letters: B batch, T steps in the batch, d features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cider.model.architecture import FeatureShapes
from cider.model.masking import zero_padding
from mer_data.errors import MerDataError
from mer_data.torch_data.batches import Batch


@dataclass(frozen=True)
class Steps:
    """Steps of B utterances, padded on the right.

    Attributes:
        values: (B, T, d), zeros at padding.
        lengths: (B,) int64 in 1..T. An utterance without steps has one, of zeros: then every attention has a
            key and every utterance a last step, and nothing is the same as one lost frame.
    """

    values: Tensor
    lengths: Tensor

    @classmethod
    def from_mask(cls, values: Tensor, mask: Tensor) -> Steps:
        """The steps of (B, T, d) where ``mask`` (B, T) is True, which it is on a first run of steps."""
        values = zero_padding(values, mask)
        if not values.shape[1]:
            values = functional.pad(values, (0, 0, 0, 1))
        return cls(values, mask.sum(dim=1).clamp(min=1))

    @property
    def mask(self) -> Tensor:
        """(B, T) bool, True at steps, False at padding."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)

    def replaced(self, values: Tensor) -> Steps:
        """Other values (B, T, e) on the same steps; what they hold at padding does not matter."""
        return Steps(zero_padding(values, self.mask), self.lengths)

    def last(self) -> Tensor:
        """(B, d) the last step of every utterance, whatever the padding."""
        return self.values[torch.arange(len(self.lengths), device=self.lengths.device), self.lengths - 1]

    def followed_by(self, more: Tensor) -> Steps:
        """Every utterance with ``more`` (B, S, d) right after its own last step."""
        count = more.shape[1]
        total = self.values.shape[1] + count
        wanted = torch.arange(total, device=self.lengths.device).expand(len(self.lengths), -1)
        beyond = wanted - self.lengths.unsqueeze(1)  # 0..S-1 are the new steps
        source = torch.where(beyond < 0, wanted, self.values.shape[1] + beyond.clamp(0, count - 1))
        joined = torch.cat([self.values, more], dim=1)
        values = joined.gather(1, source.unsqueeze(-1).expand(-1, -1, joined.shape[-1]))
        return Steps(zero_padding(values, beyond < count), self.lengths + count)

    def fixed(self, length: int) -> Tensor:
        """(B, ``length``, d) with zeros at the end, for layers whose weights belong to absolute steps."""
        return functional.pad(self.values, (0, 0, 0, length - self.values.shape[1]))


def check_batch(batch: Batch, shapes: FeatureShapes) -> None:
    """Compare a batch with the shapes a model was built for.

    Raises:
        MerDataError: a width differs, or there are more steps than the model has positions and weights for.
    """
    for name, frames, width, length in (
        ("audio", batch.audio, shapes.audio_width, shapes.audio_length),
        ("vision", batch.vision, shapes.vision_width, shapes.vision_length),
        ("text", batch.input_ids, None, shapes.text_length),
    ):
        if width is not None and frames.shape[-1] != width:
            raise MerDataError(
                f"{name} frames have another width than the model was built for",
                found=frames.shape[-1],
                expected=width,
            )
        if frames.shape[1] > length:
            raise MerDataError(
                f"a batch has more {'word pieces' if name == 'text' else f'{name} frames'} than the model was"
                " built for",
                found=frames.shape[1],
                expected=f"at most {length}",
                do="Build the store with that limit, or train on a store with rows as long",
            )
