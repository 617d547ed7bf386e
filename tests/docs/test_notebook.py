"""``docs/sample.ipynb`` runs from its first cell to its last, and is kept without outputs."""

import json

import numpy as np
import pytest
from pages import DOCS

NOTEBOOK = json.loads((DOCS / "sample.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_notebook_is_of_format_4_5_without_outputs():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(ids) == len(set(ids))
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
def test_every_cell_runs(tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MER_DATA_HOME", "data")
    matplotlib.use("Agg")
    here = {"__name__": "__main__"}
    for number, source in enumerate(CODE):
        exec(compile(source, f"<code cell {number}>", "exec"), here)
    assert (tmp_path / "data/sample/splits/ood_binary_seed0.json").is_file()
    assert (tmp_path / "runs/notebook/reports/rmfm-mask0/summary.html").is_file()
    assert len(list((tmp_path / "figures").glob("*.png"))) == len(here["numbering"].charts) > 3
    assert (tmp_path / "corpus.html").stat().st_size > 10_000
    assert here["ood"].shift["text_probe"]["test"] < here["standard"].shift["text_probe"]["test"]
    assert here["removed"].audio.any()
    probabilities = here["predictions"].filter(regex="^p_").to_numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(probabilities) == len(here["folds"]["test"]) == 120
