"""What decides the result of a training beside its recipe and its inputs: the machine and the precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cider.training.distributed import Processes
from mer_data.errors import RunError

_MAY_DIFFER = ("number of threads", "processor", "version of torch")
"""Conditions that change the last digits of a sum, and by that what a training comes to."""


def training_conditions(processes: Processes, precision: str) -> dict[str, Any]:
    """The conditions of a training in this process, by name."""
    device = processes.device
    cuda = device.type == "cuda"
    return {
        "device": device.type,
        "number of processes": processes.count,
        "precision": precision,
        "number of threads": torch.get_num_threads(),
        "processor": torch.cuda.get_device_name(device) if cuda else torch.backends.cpu.get_cpu_capability(),
        "version of torch": str(torch.__version__),
    }


def check_conditions(
    recorded: dict[str, Any], found: dict[str, Any], run: Path, warn: Callable[[str], None]
) -> None:
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
