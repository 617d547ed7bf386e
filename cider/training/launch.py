"""Number of processes that a launcher started. Does not import torch."""

from __future__ import annotations

import os

from mer_data.errors import RunError


def world_size() -> int:
    """Return how many processes ``torchrun`` or ``accelerate launch`` started; 1 when neither did."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def refuse_launcher(what: str, *, do: str) -> None:
    """Refuse work that one process does alone.

    Args:
        what: the message, where a launcher started several.
        do: the advice.

    Raises:
        RunError: a launcher did.
    """
    if world_size() > 1:
        raise RunError(what, do=do)
