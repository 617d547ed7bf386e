"""Measuring: a part of a benchmark in a process of its own, with its seconds and its peak memory."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

SIZE = 1 << 20


def machine():
    """One line on the machine and the libraries."""
    import h5py
    import numpy

    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = ", load {:.1f}".format(os.getloadavg()[0]) if hasattr(os, "getloadavg") else ""
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
    """Peak resident memory of this process (with its libraries), and of the largest of its children."""
    own, children = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"peak_mib": round(own), "peak_mib_child": round(children)}


def report(**values):
    """Print the result of a part."""
    print(json.dumps({**values, **peak_mib()}))


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
