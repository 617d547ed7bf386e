"""Training while other programs use all cores: with the waiting that the commands set, and with OpenMP's own.

``small`` trains one epoch each way, to see that it runs.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import machine, table

WAYS = {"as the commands set it": {}, "OpenMP's own": {"GOMP_SPINCOUNT": "300000"}}
_SPIN = "while True: pass"


def run(*, epochs=3):
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for line in ("mer-data sample", "mer-data build --dataset sample --alignment unaligned",
                     "mer-data repartition --dataset sample --task binary",
                     "mer-data statistics --dataset sample",
                     "mer-data counterfactual-vocab --dataset sample"):  # fmt: skip
            _call(home, line.split())
        for load in (0, os.cpu_count()):
            for way, said in WAYS.items():
                with _busy(load):
                    seconds = _epochs(home, way, said, epochs)
                rows.append((load, way, ", ".join(f"{value:.1f}" for value in seconds)))
    table(
        f"Epochs of the sample recipe on {os.cpu_count()} threads",
        ("busy programs", "waiting", "s per epoch"),
        rows,
    )


def _epochs(home, way, said, epochs):
    out = home / f"run-{way}"
    _call(
        home,
        ["cider", "train", "sample", "--set", f"training.max_epochs={epochs}", "--force", "--out", out],
        said,
    )
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["seconds"] for line in lines]


def _call(home, arguments, said=None):
    program = Path(sys.executable).with_name(arguments[0])
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    subprocess.run(
        [program, *map(str, arguments[1:])],
        env={**clean, "MER_DATA_HOME": str(home / "data"), **(said or {})},
        cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip


@contextlib.contextmanager
def _busy(count):
    programs = [subprocess.Popen([sys.executable, "-c", _SPIN], start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


if __name__ == "__main__":
    print(machine())
    run(epochs=1 if "small" in sys.argv[1:] else 3)
