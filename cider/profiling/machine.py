"""The machine and its memory."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_PROCESSORS = Path("/proc/cpuinfo")


def memory_now() -> int | None:
    """Bytes of main memory this process holds (resident set); None where the system does not report it."""
    return _status("VmRSS")


def peak_memory() -> int | None:
    """Most bytes of main memory this process has held so far; None where the system does not report it."""
    # getrusage() would also count what the parent held before this process began: it survives exec.
    peak = _status("VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def device_name(device: torch.device | str) -> str:
    """The processor or GPU, as its maker calls it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    if _PROCESSORS.is_file():
        for line in _PROCESSORS.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _status(key: str) -> int | None:
    """A line of the kernel's status of this process, in bytes."""
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
