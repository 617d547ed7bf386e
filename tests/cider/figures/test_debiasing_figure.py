import json

import numpy as np
import pytest
import torch

from cider.figures import explain_debiasing
from cider.figures.trained import LoadedRun
from cider.scoring.conditions import condition_of
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL
from cider.scoring.subtraction import TAU_GRID
from mer_data.errors import MerDataError, RunError

pytestmark = pytest.mark.usefixtures("home")


def acc2(scores, labels):
    """Arg-max over three classes, of the utterances that are not neutral."""
    counts = labels != 0
    return np.mean(scores[counts].argmax(1) == np.where(labels[counts] > 0, 2, 0))


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_it_is_what_the_answers_give(trained_run, rate):
    found = explain_debiasing(trained_run, rate=rate)
    run = LoadedRun.open(trained_run)
    for name, effect in found.folds.items():
        fold = run.fold(name, counterfactual=True)
        views = fold.predict("rmfm", rate, 0)
        one, other = views[FACTUAL], views[COUNTERFACTUAL]
        assert effect.answered == pytest.approx(acc2(one, fold.labels))
        assert effect.counterfactual == pytest.approx(acc2(other, fold.labels))
        centred = [(values - values.mean(0)).ravel() for values in (one, other)]
        assert effect.correlation == pytest.approx(np.corrcoef(*centred)[0, 1])
        assert effect.by_tau == pytest.approx([acc2(one - tau * other, fold.labels) for tau in TAU_GRID])
        joint = torch.from_numpy(fold.joint_condition(condition_of("rmfm", rate, 0))).float()
        with torch.no_grad():
            asked = run.model.head(joint, intervention="training").numpy()
        assert effect.as_in_training == pytest.approx(acc2(asked, fold.labels))
    valid, test = (np.array(found.folds[name].by_tau) for name in ("valid", "test"))
    assert found.tau == TAU_GRID[int(valid.argmax())]
    assert found.best_on_test == pytest.approx((TAU_GRID[int(test.argmax())], test.max()))


def test_its_files_and_lines(trained_run, tmp_path):
    found = explain_debiasing(trained_run)
    paths = found.write(tmp_path / "figures/debiasing")
    assert [path.name for path in paths] == ["debiasing.png", "debiasing.pdf", "debiasing.json"]
    told = json.loads(paths[-1].read_text(encoding="utf-8"))
    assert told == json.loads(json.dumps(found.to_json()))
    lines = found.lines()
    assert lines[0].split() == ["Acc2", "(%)", "at", "missing", "rate", "0", "valid", "test"]
    assert f"{100 * found.folds['test'].answered:.1f}" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_without_counterfactual_text_there_is_no_curve(home, own_trained_label_run, tmp_path):
    found = explain_debiasing(own_trained_label_run)
    assert found.tau is None
    assert found.best_on_test is None
    assert found.folds["test"].as_in_training is not None
    assert [path.name for path in found.write(tmp_path / "debiasing")] == ["debiasing.json"]
    assert not any("tau" in line for line in found.lines())


def test_without_the_causal_module_there_is_no_intervention(fresh_run):
    found = explain_debiasing(fresh_run("language", "model.maci=language"))
    assert found.folds["valid"].as_in_training is None
    assert len(found.folds["valid"].by_tau) == len(TAU_GRID)
    line = next(line for line in found.lines() if "classes as in training" in line)
    assert line.split()[-2:] == ["-", "-"]


def test_errors(plain_run, trained_run, tmp_path):
    with pytest.raises(RunError, match=r"nothing to debias with in .*found model.maci=none"):
        explain_debiasing(plain_run)
    with pytest.raises(RunError, match="no training run"):
        explain_debiasing(tmp_path)
    with pytest.raises(MerDataError, match="impossible missing rate"):
        explain_debiasing(trained_run, rate=1.5)
