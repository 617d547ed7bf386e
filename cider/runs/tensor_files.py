"""Writing tensors, so that a full disk is told as it is of every other file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from mer_data.files.writing import complete_or_absent


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name as safetensors; the file appears only when complete.

    Args:
        tensors: on any device.
        path: of the file.

    Raises:
        WriteError: the disk is full.
    """
    with complete_or_absent(path) as partial:
        try:
            save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, partial)
        except SafetensorError as error:
            reason = re.search(
                r"os error (\d+)", str(error)
            )  # the library gives the number in its text alone
            if reason is None:
                raise
            number = int(reason[1])
            raise OSError(number, os.strerror(number), str(partial)) from error
