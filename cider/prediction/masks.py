"""Masks that depend on the utterance alone: a number per position, hashed from what the position is.

The uniform number of a position is a function of the mask seed, the pattern, the utterance's id, the modality
and the step, and of nothing else: not of the batch, its order or its padding. A position is lost where its
number is below the rate, so the same numbers serve every rate, and what is lost at 0.3 is lost at 0.4 too.
That keeps the differences between rates free of the noise of independent draws, and lets texts be shared.

Letters: B utterances, T steps. The patterns are those of ``mer_data.torch_data.missing``, which draws for
training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cider.scoring.conditions import COMPLETE, NOTHING, SMM, Condition
from mer_data.torch_data.missing import MissingMask, ValidMask, smm

#: Changes whenever equal conditions would get other masks.
SCHEME = "splitmix64-nested-1"

Keys = NDArray[np.uint64]
_TEXT, _AUDIO, _VISION = range(3)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def utterance_keys(ids: Sequence[str], pattern: str, mask_seed: int) -> Keys:
    """One 64-bit key per utterance (B,): the beginning of a SHA-256 of seed, pattern and id."""
    digests = (hashlib.sha256(f"{mask_seed}|{pattern}|{name}".encode()).digest() for name in ids)
    return np.array([int.from_bytes(digest[:8], "little") for digest in digests], dtype=np.uint64)


def uniforms(keys: Keys, modality: int, steps: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) of the first ``steps`` steps of a modality, (B, steps): SplitMix64 by counter."""
    counter = np.arange(1, steps + 1, dtype=np.uint64) + (np.uint64(modality) << np.uint64(32))
    z = keys[:, None] + counter[None] * _GAMMA  # modulo 2^64
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def removed(condition: Condition, positions: ValidMask, keys: Keys) -> MissingMask:
    """Return what a batch loses.

    Args:
        condition: the state of the input.
        positions: what the batch has, on the CPU. For patterns over time the modalities share their steps.
        keys: (B,) of ``utterance_keys`` for the condition's pattern and seed.
    """
    if condition.pattern == SMM:
        return smm(positions, condition.kept)
    if condition in (COMPLETE, NOTHING):
        everything = torch.full((1, 1), condition == NOTHING)
        return _restricted(positions, everything, everything, everything)
    lost = _PATTERNS[condition.pattern](condition.rate, positions, keys)
    return _restricted(positions, *lost)


def _restricted(positions: ValidMask, text: Tensor, audio: Tensor, vision: Tensor) -> MissingMask:
    """Lost steps, each (B or 1, T or 1), where there is something that can be lost."""
    return MissingMask(positions.pieces & text, positions.audio & audio, positions.vision & vision)


_Lost = tuple[Tensor, Tensor, Tensor]


def _each_position(rate: float, positions: ValidMask, keys: Keys) -> _Lost:
    """RMFM, and RMFM-same with one rate for all: every position on its own."""
    text, audio, vision = (
        torch.from_numpy(uniforms(keys, number, mask.shape[1]) < rate)
        for number, mask in enumerate((positions.text, positions.audio, positions.vision))
    )
    return text, audio, vision


def _whole_modalities(rate: float, positions: ValidMask, keys: Keys) -> _Lost:
    """RMM: a number per utterance and modality."""
    text, audio, vision = (
        torch.from_numpy(uniforms(keys, number, 1) < rate) for number in (_TEXT, _AUDIO, _VISION)
    )
    return text, audio, vision


def _same_steps(rate: float, positions: ValidMask, keys: Keys) -> _Lost:
    """TMFM: a number per step, for all modalities."""
    longest = max(mask.shape[1] for mask in (positions.text, positions.audio, positions.vision))
    return _over_time(uniforms(keys, _TEXT, longest) < rate, positions)


def _one_block(rate: float, positions: ValidMask, keys: Keys) -> _Lost:
    """STMFM: a block of round(rate * n) of the n text steps, its start by one number per utterance.

    A longer block of the same utterance contains the shorter ones: with one step more, the start stays or
    moves one step to the front.
    """
    length = positions.text.sum(dim=1).numpy()
    # In float32, where 0.1 times 25 is the tie 2.5 that it is meant to be, as in training.
    block = np.round(np.float32(rate) * length.astype(np.float32)).astype(np.int64)
    start = np.floor(uniforms(keys, _TEXT, 1)[:, 0] * (length - block + 1)).astype(np.int64)
    longest = max(mask.shape[1] for mask in (positions.text, positions.audio, positions.vision))
    step = np.arange(longest)[None]
    return _over_time((step >= start[:, None]) & (step < (start + block)[:, None]), positions)


def _over_time(lost: NDArray[np.bool_], positions: ValidMask) -> _Lost:
    """One mask (B, T) for the steps of each modality."""
    mask = torch.from_numpy(lost)
    text, audio, vision = (
        mask[:, : valid.shape[1]] for valid in (positions.text, positions.audio, positions.vision)
    )
    return text, audio, vision


_PATTERNS: dict[str, Callable[[float, ValidMask, Keys], _Lost]] = {
    "rmfm": _each_position,
    "rmfm_same": _each_position,
    "rmm": _whole_modalities,
    "tmfm": _same_steps,
    "stmfm": _one_block,
}
