"""Measuring: a part of a benchmark in a process of its own, with its seconds and its peak memory."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil


def machine():
    """One line on the machine and the libraries."""
    import h5py
    import numpy

    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"numpy {numpy.__version__}, h5py {h5py.__version__} (HDF5 {h5py.version.hdf5_version}){load}"
    )


def in_process(script, *arguments):
    """Run ``script part ...`` in a new process; what it printed last as JSON."""
    result = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SystemExit(result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def peak_mib():
    """Peak resident memory of this process, with its libraries.

    Not ``ru_maxrss``: that begins with the memory of the process that started this one.
    """
    return _peak_of("self")


def _peak_of(process):
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024)
    return 0  # on its way out


def report(**values):
    """Print the result of a part."""
    print(json.dumps({**values, "peak_mib": peak_mib()}))


class PeakOfChildren:
    """Sum of the peak memory of the processes that ran under this one, looked at ten times a second."""

    def __enter__(self):
        self._peaks, self._ended = {}, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._ended.wait(0.1):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(OSError):
                    self._peaks[child.pid] = max(_peak_of(child.pid), self._peaks.get(child.pid, 0))

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    @property
    def total_mib(self):
        return sum(self._peaks.values())


class Clock:
    """Seconds of a ``with`` block."""

    def __enter__(self):
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.start


def table(title, header, rows):
    """Print a Markdown table."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()
