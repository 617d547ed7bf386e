import re

import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from cider.recipe.schema import load_recipe
from cider.tuning.report import LEAST_FOR_IMPORTANCE, write_tuning_report
from mer_data.errors import RunError

SPACE = {"model.layers": IntDistribution(1, 4), "loss.beta_attention": FloatDistribution(0.0, 1.0, step=0.1)}


@pytest.fixture
def make_study():
    """A study whose validation loss is the weight of L_attn plus a hundredth of the layers."""

    def make(complete):
        study = optuna.create_study(direction="maximize", study_name="tiny")
        for number in range(complete):
            layers, beta = 1 + number % 4, 0.1 * ((7 * number + 3) % 11)
            study.add_trial(
                create_trial(
                    params={"model.layers": layers, "loss.beta_attention": beta},
                    distributions=SPACE,
                    value=-(beta + 0.01 * layers),
                    user_attrs={"best_epoch": 2},
                    intermediate_values={1: -2.0, 2: -1.0, 3: -1.5},
                )
            )
        for state, attributes in (
            (TrialState.PRUNED, {}),
            (TrialState.FAIL, {"message": "not finite"}),
            (TrialState.FAIL, {}),
            (TrialState.FAIL, {"surplus": True}),
        ):
            value = -3.0 if state == TrialState.PRUNED else None
            study.add_trial(create_trial(state=state, value=value, user_attrs=attributes))
        return study

    return make


def test_a_study_is_written_as_table_recipe_and_figures(make_study, make_recipe, tmp_path):
    study, folder = make_study(LEAST_FOR_IMPORTANCE), tmp_path / "my study"
    report = write_tuning_report(study, make_recipe(), folder)
    assert report.best.number == 9  # 0.1 * (66 % 11) = 0 is the least
    assert report.values == {"model.layers": 2, "loss.beta_attention": 0.0}
    assert report.states == {"complete": 10, "pruned": 1, "failed": 1, "interrupted": 1}

    table = pd.read_csv(report.table)
    assert list(table["state"]) == ["complete"] * 10 + ["pruned", "failed", "interrupted"]
    assert table["validation_loss"][9] == pytest.approx(0.02)
    assert table["loss.beta_attention"][0] == 0.3
    assert (table["best_epoch"][0], table["epochs"][0], table["message"][11]) == (2, 3, "not finite")

    first, second, _ = report.recipe.read_text(encoding="utf-8").split("\n", 2)
    assert first == f"# cider train '{report.recipe}'"
    assert second == "# Trial 9 of study 'tiny', chosen on validation: loss 0.0200."
    tuned = load_recipe(report.recipe)
    assert (tuned.name, tuned.model.layers, tuned.loss.beta_attention) == ("tiny-tuned", 2, 0.0)
    assert tuned.training == make_recipe().training

    names = ["history.png", "history.pdf", "importance.png", "importance.pdf"]
    assert [path.name for path in report.figures] == names
    assert all(path.stat().st_size > 2000 for path in report.figures)
    before = [path.read_bytes() for path in report.figures]
    assert before == [path.read_bytes() for path in write_tuning_report(study, make_recipe(), folder).figures]


def test_few_trials_have_no_importance(make_study, make_recipe, tmp_path):
    report = write_tuning_report(make_study(1), make_recipe(), tmp_path)
    assert {path.name for path in report.figures} == {"history.png", "history.pdf"}


def test_a_study_without_a_complete_trial_tells_why(make_study, make_recipe, tmp_path):
    message = "found 1 failed, 1 interrupted, 1 pruned. See why in its column message"
    with pytest.raises(RunError, match=re.escape(message)):
        write_tuning_report(make_study(0), make_recipe(), tmp_path)
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 3
