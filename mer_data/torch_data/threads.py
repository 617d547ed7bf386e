"""How torch's threads wait for each other on a processor."""

from __future__ import annotations

import os

_SPINS = "2000"
_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def wait_briefly() -> None:
    """Let threads sleep after a short spin, unless the environment says how they wait.

    It has to be called before torch is loaded. By default they spin for milliseconds: where other programs
    use the cores, a thread then spins on the core that the one it waits for needs (docs/speed.md has what
    that costs).
    """
    if not any(name in os.environ for name in _SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = _SPINS
