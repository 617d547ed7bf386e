"""Python on the pages: all of it compiles, and what needs nothing from outside is run."""

import re

import numpy as np
import pytest
from pages import PAGES, blocks

from mer_data.splits import SplitManifest


@pytest.mark.parametrize("page", PAGES)
def test_python_of_a_page_compiles(page):
    for number, code in enumerate(blocks(page, "python")):
        compile(code, f"{page}, block {number}", "exec")


def test_own_model_trains_and_is_measured(folder, capsys):
    (code,) = blocks("own-model.md", "python")
    here = {"__name__": "__main__"}
    exec(compile(code, "own_model.py", "exec"), here)
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


def test_predictions_from_python_work_as_told(folder):
    code = blocks("inference.md", "python")[0]
    here = {"frames": np.ones((5, 8), np.float32)}
    exec(compile(code, "inference.md", "exec"), here)
    assert here["found"].to_frame().shape[0] == 480
