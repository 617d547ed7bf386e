import os
import subprocess
import sys

import pytest

from mer_data.torch_data.threads import wait_briefly


@pytest.fixture
def _nothing_said(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_nothing_said")
def test_threads_wait_briefly():
    wait_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "2000"
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.usefixtures("_nothing_said")
@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "5")])
def test_what_the_environment_says_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    wait_briefly()
    assert {key: os.environ.get(key) for key in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")} == {
        "OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": None, name: value,
    }  # fmt: skip


@pytest.mark.parametrize(("package", "command"), [("cider", "compare"), ("mer_data", "statistics")])
def test_it_is_said_before_torch_is_there(package, command):
    code = f"from {package}.commands import main; main([{command!r}], standalone_mode=False)"
    told = "import atexit, os, sys; atexit.register(lambda: print(os.environ['GOMP_SPINCOUNT'], flush=True));"
    clean = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    result = subprocess.run(
        [sys.executable, "-c", told + "assert 'torch' not in sys.modules;" + code],
        env=clean, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout.strip() == "2000", result.stderr
