"""Missing patterns: which word pieces and frames of a batch are lost (method section 2; paper appendix).

Letters: B utterances; T_l, T_a, T_v steps of text, audio and vision in this batch, padding included. A rate
in [0, 1] is the share that is lost. The functions are pure and know no model. Every random number comes from
the generator that is passed, which must live on the device of the positions. A draw fills the padded batch:
the same seed gives the same result for the same batch, not for the same utterance in another batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mer_data.errors import MerDataError
from mer_data.torch_data.batches import Batch, SpecialTokens

MODALITY_LETTERS = "LAV"
"""Text (language), audio and vision, as the paper abbreviates them."""
KEPT_MODALITIES = ("L", "A", "V", "LA", "LV", "AV", MODALITY_LETTERS)


@dataclass(frozen=True)
class ValidMask:
    """The steps that each modality has in a padded batch.

    Attributes:
        text: (B, T_l) bool, True at word pieces, special tokens included.
        special: (B, T_l) bool, True at [CLS] and [SEP], which are never removed.
        audio: (B, T_a) bool, True at frames.
        vision: (B, T_v) bool, True at frames.
    """

    text: Tensor
    special: Tensor
    audio: Tensor
    vision: Tensor

    @classmethod
    def from_batch(cls, batch: Batch, special: SpecialTokens) -> ValidMask:
        """The positions of ``batch``, with [CLS] and [SEP] known by their ids in ``special``."""
        role = (batch.input_ids == special.cls) | (batch.input_ids == special.sep)
        return cls(batch.text_mask, role & batch.text_mask, batch.audio_mask, batch.vision_mask)

    @property
    def pieces(self) -> Tensor:
        """(B, T_l) bool, True at the word pieces that can be removed."""
        return self.text & ~self.special


@dataclass(frozen=True)
class MissingMask:
    """The steps that are lost; never True at padding, and never True at a special token.

    Attributes:
        text: (B, T_l) bool, True at removed word pieces.
        audio: (B, T_a) bool, True at removed frames.
        vision: (B, T_v) bool, True at removed frames.
    """

    text: Tensor
    audio: Tensor
    vision: Tensor


Pattern = Callable[[ValidMask, Tensor, torch.Generator], MissingMask]


def rmfm(
    positions: ValidMask, rates: Tensor, generator: torch.Generator, *, per_position: bool = False
) -> MissingMask:
    """Random Modality Feature Missing: one mask over all T_l+T_a+T_v positions (paper III-A).

    Args:
        positions: what can be lost.
        rates: (B,) probability that a position is lost, whatever its modality.
        generator: source of every draw.
        per_position: draw a new rate in [0, 1) for every position and ignore ``rates``; the effective rate is
            then one half for every utterance (what the authors' implementation trains with).

    Raises:
        MerDataError: if the rates have another shape or leave [0, 1].
    """
    sizes = [mask.shape[1] for mask in (positions.text, positions.audio, positions.vision)]
    shape = (len(positions.text), sum(sizes))
    if per_position:
        thresholds = _uniform(shape, positions, generator)
    else:
        thresholds = _checked(rates, positions, (len(positions.text),)).unsqueeze(1)
    lost = _uniform(shape, positions, generator) < thresholds
    text, audio, vision = lost.split(sizes, dim=1)
    return _remove(positions, text, audio, vision)


def rmfm_same(positions: ValidMask, rates: Tensor, generator: torch.Generator) -> MissingMask:
    """Traditional RMFM: a mask of its own for every modality (paper appendix).

    Args:
        positions: what can be lost.
        rates: (B, 3), one probability each for text, audio and vision, or (B,) for three equal ones.
        generator: source of every draw.

    Raises:
        MerDataError: if the rates have another shape or leave [0, 1].
    """
    size = len(positions.text)
    shape = (size, 3) if rates.ndim == 2 else (size,)
    checked = _checked(rates, positions, shape)
    per_modality = checked if checked.ndim == 2 else checked.unsqueeze(1).expand(-1, 3)
    masks = (positions.text, positions.audio, positions.vision)
    lost = [
        _uniform(tuple(mask.shape), positions, generator) < per_modality[:, i : i + 1]
        for i, mask in enumerate(masks)
    ]
    return _remove(positions, *lost)


def rmm(positions: ValidMask, rates: Tensor, generator: torch.Generator) -> MissingMask:
    """Random Modality Missing: each whole modality of each utterance is lost with probability ``rates`` (B,).

    Paper appendix. All three may be lost at once.

    Raises:
        MerDataError: if the rates have another shape or leave [0, 1].
    """
    checked = _checked(rates, positions, (len(positions.text),))
    lost = _uniform((len(positions.text), 3), positions, generator) < checked.unsqueeze(1)
    return _remove(positions, *lost.split(1, dim=1))


def tmfm(positions: ValidMask, rates: Tensor, generator: torch.Generator) -> MissingMask:
    """Temporal Modality Feature Missing: the same steps are lost in all modalities (paper appendix A).

    Aligned data only. Text at special tokens stays, audio and vision at those steps go with the mask, so that
    rate 1 leaves no frame.

    Args:
        positions: what can be lost, all modalities on the same steps.
        rates: (B,) probability that a step is lost.
        generator: source of every draw.

    Raises:
        MerDataError: if the data are not aligned, or the rates have another shape or leave [0, 1].
    """
    _require_aligned(positions, "tmfm")
    checked = _checked(rates, positions, (len(positions.text),))
    lost = _uniform(tuple(positions.text.shape), positions, generator) < checked.unsqueeze(1)
    return _remove(positions, lost, lost, lost)


def stmfm(positions: ValidMask, rates: Tensor, generator: torch.Generator) -> MissingMask:
    """Structural TMFM: one block of consecutive steps is lost in all modalities (paper appendix A).

    Aligned data only. The time axis is the valid text steps, special tokens included: with n of them the
    block has round(rate * n) steps, half rounded to even, and every possible start is equally likely. Special
    tokens in the block stay, audio and vision at their steps go.

    Args:
        positions: what can be lost, all modalities on the same steps.
        rates: (B,) share of the steps that is lost.
        generator: source of every draw.

    Raises:
        MerDataError: if the data are not aligned, or the rates have another shape or leave [0, 1].
    """
    _require_aligned(positions, "stmfm")
    checked = _checked(rates, positions, (len(positions.text),))
    length = positions.text.sum(dim=1)
    # In the precision of the rates, so that float32 0.1 times 25 is the tie 2.5 it is meant to be.
    block = (checked * length.to(checked.dtype)).round().to(length.dtype)
    starts = length - block + 1
    # A uniform number just below 1 can round up to the number of starts.
    start = (_uniform((len(block),), positions, generator) * starts).long().minimum(starts - 1)
    step = positions.text.cumsum(dim=1) - 1
    lost = (step >= start.unsqueeze(1)) & (step < (start + block).unsqueeze(1)) & positions.text
    return _remove(positions, lost, lost, lost)


def smm(positions: ValidMask, keep: str) -> MissingMask:
    """Specific Modality Missing: every utterance keeps the modalities in ``keep`` and loses the others whole.

    Paper appendix B. ``keep`` is one of L, A, V, LA, LV, AV, LAV. Nothing is random.

    Raises:
        MerDataError: if ``keep`` is none of the seven.
    """
    if keep not in KEPT_MODALITIES:
        raise MerDataError(
            "unknown modalities to keep", found=repr(keep), expected=" or ".join(KEPT_MODALITIES)
        )
    text, audio, vision = (
        torch.full((1, 1), letter not in keep, device=positions.text.device) for letter in MODALITY_LETTERS
    )
    return _remove(positions, text, audio, vision)


def nothing(positions: ValidMask) -> MissingMask:
    """Complete data: every utterance keeps all it has."""
    return smm(positions, MODALITY_LETTERS)


PATTERNS: dict[str, Pattern] = {
    "rmfm": rmfm,
    "rmfm_same": rmfm_same,
    "rmm": rmm,
    "tmfm": tmfm,
    "stmfm": stmfm,
}


def draw(name: str, positions: ValidMask, rates: Tensor, generator: torch.Generator) -> MissingMask:
    """Draw the random pattern called ``name``, with the rates that pattern takes.

    Raises:
        MerDataError: if no random pattern has that name, or the pattern refuses the positions or rates.
    """
    if name not in PATTERNS:
        raise MerDataError("unknown missing pattern", found=repr(name), expected=" or ".join(PATTERNS))
    return PATTERNS[name](positions, rates, generator)


def random_rates(batch_size: int, generator: torch.Generator, device: torch.device | str) -> Tensor:
    """One training rate per utterance, (B,) uniform in [0, 1) (paper III-A)."""
    return torch.rand(batch_size, generator=generator, device=device)


def apply(batch: Batch, removed: MissingMask, special: SpecialTokens) -> Batch:
    """The batch with removed word pieces as [UNK] and removed frames as zeros, all else unchanged.

    Raises:
        ValueError: if ``removed`` was drawn for a batch of another shape.
    """
    for name, mask, valid in (
        ("text", removed.text, batch.text_mask),
        ("audio", removed.audio, batch.audio_mask),
        ("vision", removed.vision, batch.vision_mask),
    ):
        if mask.shape != valid.shape:
            raise ValueError(
                f"removed {name} has shape {tuple(mask.shape)}, the batch has {tuple(valid.shape)}"
            )
    return replace(
        batch,
        input_ids=batch.input_ids.masked_fill(removed.text, special.unk),
        audio=batch.audio.masked_fill(removed.audio.unsqueeze(-1), 0.0),
        vision=batch.vision.masked_fill(removed.vision.unsqueeze(-1), 0.0),
    )


def _uniform(shape: tuple[int, ...], positions: ValidMask, generator: torch.Generator) -> Tensor:
    """Uniform draws in [0, 1): ``draw < rate`` is never true at rate 0 and always true at rate 1."""
    return torch.rand(shape, generator=generator, device=positions.text.device)


def _remove(positions: ValidMask, text: Tensor, audio: Tensor, vision: Tensor) -> MissingMask:
    """Restrict lost steps, each (B or 1, T or 1), to what each modality has and may lose."""
    return MissingMask(positions.pieces & text, positions.audio & audio, positions.vision & vision)


def _checked(rates: Tensor, positions: ValidMask, shape: tuple[int, ...]) -> Tensor:
    """The rates on the device of the positions, if they have the shape and lie in [0, 1] (NaN does not)."""
    if tuple(rates.shape) != shape:
        raise MerDataError("missing rates have the wrong shape", found=tuple(rates.shape), expected=shape)
    if not bool(((rates >= 0) & (rates <= 1)).all()):
        raise MerDataError(
            "missing rates leave their range",
            found=f"{rates.min().item():g} to {rates.max().item():g}",
            expected="0 to 1",
        )
    return rates.to(positions.text.device)


def _require_aligned(positions: ValidMask, name: str) -> None:
    shapes = [tuple(mask.shape) for mask in (positions.text, positions.audio, positions.vision)]
    if len(set(shapes)) > 1:
        raise MerDataError(
            f"the missing pattern {name} needs aligned data, text, audio and vision on the same steps",
            found=" / ".join(map(str, shapes)),
            do="Use an aligned store, or one of rmfm, rmfm_same, rmm",
        )
