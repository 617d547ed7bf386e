"""The processes that train together: who is who, agreement between them, and the shares of each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import gather, reduce
from torch import Tensor, nn

from cider.training.launch import world_size
from mer_data.errors import RunError

T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)
_STOPPED = "another process of this training failed"


class StoppedElsewhereError(RunError):
    """Another process of this training failed, and prints why."""


@dataclass(frozen=True)
class Processes:
    """This process among those that ``torchrun`` or ``accelerate launch`` started; one when neither did.

    Attributes:
        accelerator: of Hugging Face Accelerate: the device, data parallelism, gradient synchronisation.
            Its own mixed precision stays off: Accelerate holds one for the life of a process, and a tuning
            study or a test trains several models in one. `cider.training.step` opens ``torch.autocast``
            itself, which is what Accelerate would do.
    """

    accelerator: Accelerator

    @classmethod
    def launched(cls) -> Processes:
        """Return the processes of the launch; without a GPU they are processors that talk over gloo."""
        several = world_size() > 1
        # Step one leaves the reconstruction heads without gradients (torch wonders, once, why step two does
        # not). Buffers never change; sending them would be a collective call inside `fail_together`.
        parallel = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        return cls(
            Accelerator(
                cpu=several and not (torch.cuda.is_available() or torch.xpu.is_available()),
                mixed_precision="no",
                kwargs_handlers=[parallel],
            )
        )

    @property
    def device(self) -> torch.device:
        """Device of this process."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """Which one this is, from 0."""
        return int(self.accelerator.process_index)

    @property
    def is_main(self) -> bool:
        """Return whether this process writes files and prints."""
        return self.rank == 0

    def parallel(self, module: M) -> M:
        """``module`` on the device, and with gradients averaged over the processes."""
        with warnings.catch_warnings():  # newer torch has another word for it, which Accelerate has not
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            prepared: M = self.accelerator.prepare(module)
        return prepared

    def share(self, items: Sequence[T]) -> list[T]:
        """Every ``world_size``-th item from ``rank`` on: the shares together are the items, each once."""
        return list(items[self.rank :: self.world_size])

    def shard_or_dummy(self, items: Sequence[T]) -> tuple[list[T], int]:
        """This process's share of ``items`` and its length; of too few items the first stands in, length 0.

        A process without items must still run the model, for the others wait for its gradients.
        """
        # Data parallelism waits for every process in every backward pass: none may leave a step out.
        own = self.share(items)
        return (own, len(own)) if own else (list(items[:1]), 0)

    def gather_shards(self, part: Tensor, total: int) -> Tensor:
        """The ``total`` rows whose shares are the parts, in their first order, on every process.

        Args:
            part: (n, ...) rows of this process's share; rows of a stand-in are ignored.
            total: rows that were shared.
        """
        if self.world_size == 1:
            return part
        # Gathered tensors have one shape, so shares are padded to the longest; the transposition below undoes
        # the dealing of `share`, and the padding falls behind the last row.
        longest = -(-total // self.world_size)
        padded = part.new_zeros((longest, *part.shape[1:]))
        padded[: min(len(part), longest)] = part[:longest]
        return self.gather(padded).transpose(0, 1).flatten(0, 1)[:total]

    def gather(self, value: Tensor) -> Tensor:
        """(world_size, *shape): the tensor of every process; all have one shape."""
        if self.world_size == 1:
            return value.unsqueeze(0)
        gathered: Tensor = gather(value.unsqueeze(0).to(self.device))
        return gathered.to(value.device)

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of numbers over all processes."""
        if self.world_size == 1:
            return list(values)
        total: Tensor = reduce(torch.tensor(values, dtype=torch.float64, device=self.device), "sum")
        result: list[float] = total.tolist()
        return result

    def broadcast(self, value: float) -> float:
        """The main process's number, so that all decide alike."""
        return self.sum([value if self.is_main else 0.0])[0]

    @contextmanager
    def fail_together(self) -> Iterator[None]:
        """Work that every process does for itself: where one fails, none goes on and none waits.

        What fails on the main process too is raised by that alone, so that it is printed once.

        Raises:
            StoppedElsewhereError: another process failed.
        """
        try:
            yield
        except Exception as error:
            # Every process takes part in this sum, failed or not; whoever left it out would block the rest.
            _, on_main = self._failures(1.0)
            if on_main and not self.is_main:
                raise StoppedElsewhereError(_STOPPED) from error
            raise
        if any(self._failures(0.0)):
            raise StoppedElsewhereError(_STOPPED)

    def on_main(self, action: Callable[[], T]) -> T | None:
        """Do something on the main process alone, while the others wait; they get None.

        Raises:
            StoppedElsewhereError: on the others, when it fails.
        """
        with self.fail_together():
            return action() if self.is_main else None

    def stop(self, error: RunError) -> NoReturn:
        """Raise, on every process, what all have found; the main one prints it.

        Raises:
            RunError: the error, on the main process.
            StoppedElsewhereError: on the others.
        """
        raise error if self.is_main else StoppedElsewhereError(_STOPPED)

    def close(self) -> None:
        """Leave the others, at the end of a command."""
        self.accelerator.end_training()

    def _failures(self, failed: float) -> list[float]:
        """Return how many processes failed, and whether the main one did."""
        return self.sum([failed, failed * self.is_main])
