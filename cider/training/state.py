"""State of a training besides the weights: the optimiser, every source of randomness, and the conditions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cider.training.distributed import Processes
from mer_data.errors import RunError
from mer_data.progress import Tell

_MAY_DIFFER = ("number of threads", "processor", "version of torch")
"""Conditions that change the last digits of a sum, and by that what a training comes to."""


def optimiser_tensors(optimiser: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The moments and step counts as ``<key>/<parameter>``; only parameters that had a gradient have them."""
    names = _names(optimiser, model)
    state: dict[int, dict[str, Tensor]] = optimiser.state_dict()["state"]
    return {
        f"{key}/{names[number]}": value for number, entry in state.items() for key, value in entry.items()
    }


def optimiser_numbers(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Learning rate, weight decay and the rest of every group of parameters."""
    return [
        {key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups
    ]


def load_optimiser(
    optimiser: torch.optim.Optimizer,
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    numbers: list[dict[str, Any]],
) -> None:
    """Put back what `optimiser_tensors` and `optimiser_numbers` gave.

    Raises:
        ValueError: they are of another model.
    """
    numbers_of = {name: number for number, name in enumerate(_names(optimiser, model))}
    state: dict[int, dict[str, Tensor]] = {}
    for place, value in tensors.items():
        key, _, name = place.partition("/")
        if name not in numbers_of:
            raise ValueError(f"the model has no parameter {name!r}")
        state.setdefault(numbers_of[name], {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    for group, saved in zip(groups, numbers, strict=True):
        group.update(
            {key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()}
        )
    optimiser.load_state_dict({"state": state, "param_groups": groups})


class RandomSources:
    """Every generator that training draws from.

    The order of the batches is one for all processes. What is missing and what is dropped is drawn by every
    process for its share: dropout from torch's global generators, which belong to training inside
    ``torch.random.fork_rng``.
    """

    def __init__(self, seed: int, processes: Processes) -> None:
        """Seed the generators that are not global."""
        self._processes = processes
        self._seed = seed + _APART * processes.rank
        self.order = torch.Generator().manual_seed(seed)
        self.missing = torch.Generator(device=processes.device).manual_seed(self._seed + 1)

    def seed_global(self) -> None:
        """Begin a training: dropout is the seed's."""
        torch.manual_seed(self._seed)

    def tensors(self) -> dict[str, Tensor]:
        """Their states, those of every process: (world_size, bytes) uint8."""
        states = {"order": self.order.get_state(), "missing": self.missing.get_state()}
        states["global"] = torch.get_rng_state()
        if self._processes.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self._processes.device)
        return {name: self._processes.gather(state) for name, state in states.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave, of this process."""
        own = {name: states[self._processes.rank].clone() for name, states in tensors.items()}
        self.order.set_state(own["order"])
        self.missing.set_state(own["missing"])
        torch.set_rng_state(own["global"])
        if self._processes.device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], self._processes.device)


#: Between the seeds of two processes, so that no seed of a person meets another's.
_APART = 1_000_003


def _names(optimiser: torch.optim.Optimizer, model: nn.Module) -> list[str]:
    """Names of the parameters in the order in which the optimiser numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for group in optimiser.param_groups for parameter in group["params"]]


def training_conditions(processes: Processes, precision: str) -> dict[str, Any]:
    """The conditions of a training in this process, by name."""
    device = processes.device
    cuda = device.type == "cuda"
    return {
        "device": device.type,
        "number of processes": processes.world_size,
        "precision": precision,
        "number of threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name(device) if cuda else torch.backends.cpu.get_cpu_capability(),
        "version of torch": str(torch.__version__),
    }


def check_conditions(recorded: dict[str, Any], found: dict[str, Any], run: Path, warn: Tell) -> None:
    """Compare the conditions of a checkpoint with those of now.

    Args:
        recorded: of the checkpoint; older ones know less.
        found: of this process.
        run: folder of the run, for messages.
        warn: called with a line for each that differs and lets a training continue, with another result.

    Raises:
        RunError: one differs with which it cannot continue.
    """
    for name, value in found.items():
        before = recorded.get(name, value)
        if before == value:
            continue
        if name not in _MAY_DIFFER:
            raise RunError(
                f"the run was started with another {name}",
                where=run,
                found=value,
                expected=before,
                do="Resume it as it was started, or train again with --force",
            )
        warn(
            f"Warning: {run} was started with another {name}: found {value}, expected {before}. It continues,"
            " but its result may differ from that of a training that nothing stopped."
        )
