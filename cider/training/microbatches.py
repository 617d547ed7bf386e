"""A training batch in parts that fit into memory, each with its share of the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

from cider.model.cider import CIDerOutput
from cider.models.backbone_model import BackboneOutput
from cider.training import losses as objectives
from cider.training.distributed import Processes
from mer_data.torch_data.batches import Batch
from mer_data.torch_data.missing import MissingMask

T = TypeVar("T")


@dataclass(frozen=True)
class MicroBatch:
    """B utterances of a batch, at most all.

    Attributes:
        batch: the utterances.
        classes: (B,) their classes.
        removed: what their incomplete view loses.
        share: their share of the whole batch's utterances, those of other processes included.
        removed_shares: their shares of its removed steps of text, audio and vision.
    """

    batch: Batch
    classes: Tensor
    removed: MissingMask
    share: float
    removed_shares: tuple[float, ...]

    def classification(self, output: CIDerOutput | BackboneOutput) -> Tensor:
        """Return what this part adds to the mean cross-entropy of the whole batch."""
        return self.share * objectives.classification(output.log_probabilities, self.classes)


def split_into_microbatches(
    batch: Batch,
    classes: Tensor,
    removed: MissingMask,
    *,
    num_real: int,
    max_parts: int,
    processes: Processes,
) -> list[MicroBatch]:
    """Split a batch into parts, equally many on every process.

    Args:
        batch: B utterances, this process's share of the whole batch.
        classes: (B,).
        removed: what the incomplete view loses.
        num_real: B, or 0 for a stand-in that takes no part in any mean.
        max_parts: parts at most; fewer where a process has fewer utterances.
        processes: those that share the whole batch.
    """
    own = [float(num_real), *(_steps(removed) if num_real else (0.0, 0.0, 0.0))]
    whole, *removed_whole = processes.sum(own)
    parts = []
    # Every process must cut equally often, for each backward pass waits for the others; so the number of
    # parts is bounded by the utterances of a share, not by what this process has.
    num_parts = min(max_parts, max(1, int(whole) // processes.world_size))
    for rows in torch.arange(len(batch)).tensor_split(num_parts):
        inside = slice(int(rows[0]), int(rows[-1]) + 1)
        lost = rows_of(removed, inside)
        parts.append(
            MicroBatch(
                batch=rows_of(batch, inside),
                classes=classes[inside],
                removed=lost,
                # Shares of the whole batch, not of the part: their sum over parts and processes is 1, so that
                # the sum of the parts' losses is the mean over the batch.
                share=len(rows) / whole if num_real else 0.0,
                removed_shares=tuple(
                    steps / max(total, 1.0) if num_real else 0.0
                    for steps, total in zip(_steps(lost), removed_whole, strict=True)
                ),
            )
        )
    return parts


def rows_of(value: T, rows: slice) -> T:
    """Some rows of every tensor in ``value``."""
    return map_tensors(lambda tensor: tensor[rows], value)


def map_tensors(function: Callable[[Tensor], Tensor], value: T) -> T:
    """``value`` with every tensor replaced, in dataclasses, tuples and mappings too."""
    if isinstance(value, Tensor):
        return cast(T, function(value))
    if isinstance(value, tuple):
        return cast(T, tuple(map_tensors(function, item) for item in value))
    if isinstance(value, Mapping):
        return cast(T, {key: map_tensors(function, item) for key, item in value.items()})
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: map_tensors(function, getattr(value, field.name)) for field in fields(value)}
        return cast(T, replace(value, **changed))
    return value


def _steps(removed: MissingMask) -> list[float]:
    """Removed steps of text, audio and vision."""
    counts: list[float] = torch.stack(
        [removed.text.sum(), removed.audio.sum(), removed.vision.sum()]
    ).tolist()
    return counts
