"""Python on the pages: all of it compiles, and what needs nothing from outside is run."""

import re
from pathlib import Path

import numpy as np
import pytest
from pages import PAGES, blocks
from walking import write_own_model

from cider.evaluation.evaluate import evaluate_run
from cider.models.backbone_model import causal_head_size, count_parameters
from cider.models.own_code import load_code
from cider.models.registry import MODELS
from cider.recipe.schema import find_recipe, load_recipe
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.training.many_runs import train_run
from mer_data.splits import SplitManifest


@pytest.mark.parametrize("page", PAGES)
def test_python_of_a_page_compiles(page):
    for number, code in enumerate(blocks(page, "python")):
        compile(code, f"{page}, block {number}", "exec")


def test_own_loop_trains_and_is_measured(folder, capsys):
    (code,) = blocks("own-loop.md", "python")
    here = {"__name__": "__main__"}
    exec(compile(code, "own_loop.py", "exec"), here)
    printed = capsys.readouterr().out
    told = [float(value) for value in re.findall(r"Acc2 (\d+\.\d)", printed)]
    assert len(told) == 11
    area = 0.1 * (sum(told) - (told[0] + told[-1]) / 2)
    assert float(re.search(r"AUILC (\S+)", printed)[1]) == pytest.approx(area, abs=0.1)
    # The generated texts tell their label, and with everything lost every test utterance looks the same.
    split = SplitManifest.load(folder / "data/sample/splits/ood_binary_seed0.json")
    labels = here["store"].utterances["label"].to_numpy()[split.indices(here["ids"])["test"]]
    shares = [100 * np.mean(side) for side in (labels[labels != 0] > 0, labels[labels != 0] < 0)]
    assert told[0] > max(shares) + 10
    assert told[-1] == pytest.approx(shares[0], abs=0.06) or told[-1] == pytest.approx(shares[1], abs=0.06)


def test_a_new_model_is_one_file_and_one_line(folder, monkeypatch, capsys):
    """The file of own-model.md and a line in the registry: trained, evaluated and counted as any other."""
    write_own_model()
    source = Path("own_model.py").read_text(encoding="utf-8")
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
    load_code(["own_model.py"])
    monkeypatch.setitem(MODELS, "own", "own_model:OwnModel")
    sizes = []
    for maci in ("none", "both"):
        group = f"model={{name: own, text_encoder: tiny, maci: {maci}, settings: {{width: 16}}}}"
        more = ("data.split=ood_binary_seed0", "training.max_epochs=12", f"name=own-{maci}")
        recipe = load_recipe(find_recipe("sample"), (group, *more))
        train_run(recipe, Path(f"own-{maci}"), force=False)
        evaluate_run(Path(f"own-{maci}"))
        model = Experiment.open(recipe).build_model()
        assert type(model.backbone).__name__ == "OwnModel"
        sizes.append(count_parameters(model, include_text_encoder=False))
    widths = tuple(model.head.encoders[number][0].in_features for number in range(3))
    assert sizes[1] - sizes[0] == causal_head_size(16, 3, widths) - 3 * 17
    # Complete data and texts that tell their label: it learns.
    best = max(epoch["valid"]["acc3"] for epoch in RunFolder(Path("own-both")).read_log())
    assert best > 0.7


def test_maci_in_a_loop_of_ones_own(folder, capsys):
    code = blocks("own-model.md", "python")[1]
    here = {"__name__": "__main__"}
    exec(compile(code, "with_maci.py", "exec"), here)
    factual, counterfactual = here["factual"], here["counterfactual"]
    assert factual.shape == counterfactual.shape == (len(here["batch"]), 3)
    assert np.allclose(here["scores"].sum(1), factual.sum(1).numpy() - here["tau"])
    assert f"{len(here['batch'])} utterances" in capsys.readouterr().out


def test_predictions_from_python_work_as_told(folder):
    code = blocks("inference.md", "python")[0]
    here = {"frames": np.ones((5, 8), np.float32)}
    exec(compile(code, "inference.md", "exec"), here)
    assert here["found"].to_frame().shape[0] == 480
