"""Random batches of utterances with similar length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler

SPREAD = 1.4


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches for one epoch: every position once, similar lengths together, new batches every epoch.

    Each length is multiplied by a random factor between 1 / ``SPREAD`` and ``SPREAD``; positions are sorted
    by the result and cut into batches, which come in random order. So an utterance meets others of up to
    about twice its length in differently composed batches, order within an epoch is random, and no batch is
    padded to the longest text of the corpus. What is lost: very short and very long texts never share a step.
    """

    def __init__(self, lengths: NDArray[np.integer], batch_size: int, generator: torch.Generator) -> None:
        """Group N positions.

        Args:
            lengths: (N,) steps of each utterance's text.
            batch_size: utterances per batch; the smallest batch of an epoch may have fewer.
            generator: source of every draw, so that equal seeds give equal epochs.
        """
        self._logs = torch.from_numpy(np.log(np.maximum(lengths, 1).astype(np.float64)))
        self._batch_size = batch_size
        self._generator = generator

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self._logs) / self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of one epoch, as positions."""
        noise = torch.rand(len(self._logs), generator=self._generator, dtype=torch.float64)
        order = (self._logs + (2 * noise - 1) * math.log(SPREAD)).argsort()
        batches = order.split(self._batch_size)
        for number in torch.randperm(len(batches), generator=self._generator).tolist():
            yield batches[number].tolist()
