import json

import numpy as np
import pytest
from evaluation_builders import BINARY, IDENTITY, PLAN, SEVEN, fold, random_sweep
from sklearn.metrics import f1_score

from cider.scoring.conditions import SweepPlan
from cider.scoring.metrics import metric_names
from cider.scoring.prediction_frame import (
    COUNTERFACTUAL,
    EVALUATED_MEANS,
    FACTUAL,
    NO_MEANS,
    TRAINING_MEANS,
    SweepPredictions,
)
from cider.scoring.protocols import MetricTable, score_sweep, without_nan
from cider.scoring.subtraction import TAU_GRID
from mer_data.errors import RunError

TWO = SweepPlan.from_settings("rmfm", (0.0, 0.5), (0,))
NEGATIVE, POSITIVE = -1.0, 1.0
BIAS = (0.1, 0.1, 0.8)  # the counterfactual text always leans to positive


def leaning(labels, margin, plan=TWO):
    """All lean to positive; the negative ones are right once ``margin`` is taken from positive.

    With BIAS taken away tau times that is from tau > margin / 0.7 on, and the weakest such tau is chosen.
    """
    rows = [(0.8 - margin, 0.0, 0.8) if label < 0 else (0.0, 0.0, 2.8) for label in labels]
    return np.array([rows] * len(plan.conditions))


def biased(labels, plan=TWO):
    return np.array([[BIAS] * len(labels)] * len(plan.conditions))


def sweep(valid_labels, test_labels, *, valid_margin=0.4, test_margin=0.4, own_margin=None, plan=TWO):
    """Made to be debiased by 0.6 at margin 0.4; with ``own_margin`` also with means of the test fold."""
    valid = {
        (FACTUAL, TRAINING_MEANS): leaning(valid_labels, valid_margin, plan),
        (COUNTERFACTUAL, TRAINING_MEANS): biased(valid_labels, plan),
    }
    test = {
        (FACTUAL, TRAINING_MEANS): leaning(test_labels, test_margin, plan),
        (COUNTERFACTUAL, TRAINING_MEANS): biased(test_labels, plan),
    }
    if own_margin is not None:
        test[FACTUAL, EVALUATED_MEANS] = leaning(test_labels, own_margin, plan)
        test[COUNTERFACTUAL, EVALUATED_MEANS] = biased(test_labels, plan)
    return SweepPredictions(
        plan, BINARY, fold(valid_labels, valid, name="valid"), fold(test_labels, test), IDENTITY
    )


EVEN = [NEGATIVE, POSITIVE] * 4


# --- strict ---


def test_debiasing_is_applied_with_the_tau_of_validation():
    result = score_sweep(sweep(EVEN, EVEN))
    assert (result.tau, result.tau_metric) == (0.6, "acc2")
    assert result.plain["acc2"] == [0.5, 0.5]
    assert result.debiased["acc2"] == [1.0, 1.0]
    assert result.final is result.strict.means


def test_strict_does_not_look_at_test_labels():
    labels = np.array(EVEN)
    right, poisoned = sweep(EVEN, EVEN), sweep(EVEN, EVEN)
    object.__setattr__(poisoned, "test", fold(-labels, right.test.views))
    honest, other = score_sweep(right), score_sweep(poisoned)
    assert honest.tau == other.tau == 0.6
    assert np.array_equal(honest.answers, other.answers)
    assert other.debiased["acc2"] == [0.0, 0.0]
    # The validation labels do decide.
    object.__setattr__(poisoned, "valid", fold(-labels, right.valid.views, name="valid"))
    assert score_sweep(poisoned).tau == 0.0


def test_strict_does_not_take_the_means_of_the_test_fold():
    first, second = (score_sweep(sweep(EVEN, EVEN, own_margin=margin)) for margin in (0.1, 1.0))
    assert first.strict.values.keys() == second.strict.values.keys()
    for name, values in first.strict.values.items():
        assert np.array_equal(values, second.strict.values[name])
    assert np.array_equal(first.answers, second.answers)


def test_tau_follows_its_metric():
    # A neutral utterance that debiasing loses counts for acc3 and not for acc2.
    valid = [NEGATIVE, POSITIVE] + [0.0] * 20
    predictions = sweep(valid, EVEN)
    for view, row in ((FACTUAL, (0.0, 1.0, 0.95)), (COUNTERFACTUAL, (0.0, 1.0, 0.0))):
        predictions.valid.views[view, TRAINING_MEANS][:, 2:] = row
    assert score_sweep(predictions).tau == 0.6
    assert score_sweep(predictions, tau_metric="acc3").tau == 0.0


def test_tau_is_the_best_of_the_mean_over_mask_seeds():
    plan = SweepPlan.from_settings("rmfm", (0.5,), (0, 1, 2))
    margins = (0.1, 0.1, 0.8)  # right from 0.2, 0.2 and 1.2 on
    predictions = sweep(EVEN, EVEN, plan=plan)
    table = np.concatenate(
        [leaning(EVEN, margin, SweepPlan.from_settings("rmfm", (0.5,), (0,))) for margin in margins]
    )
    predictions.valid.views[FACTUAL, TRAINING_MEANS] = table
    assert score_sweep(predictions).tau == 1.2
    # Where a positive one is lost beyond 1.0, two seeds outvote the third.
    table[:2, 1::2] = (0.5, 0.0, 1.2)
    assert score_sweep(predictions).tau == 0.2


def test_scores_by_an_independent_formula():
    predictions = random_sweep(SweepPlan.from_settings("rmfm", (0.0, 0.3, 1.0), (0, 1)), size=40)
    result = score_sweep(predictions)
    truth = np.sign(predictions.test.labels).astype(int) + 1
    factual, counterfactual = predictions.test.scores(TRAINING_MEANS)
    answers = (factual - result.tau * counterfactual).argmax(axis=-1)
    clear = truth != 1
    by_condition = [f1_score(truth[clear], answer[clear], average="weighted") for answer in answers]
    zero, first, last, second = by_condition
    assert result.strict.values["f1"] == pytest.approx(
        np.array([[zero, zero], [first, second], [last, last]])
    )
    assert result.final["f1"] == pytest.approx([zero, (first + second) / 2, last])
    deviation = abs(first - second) / np.sqrt(2)
    assert result.strict.deviations["f1"] == pytest.approx([0, deviation, 0])
    areas = [0.3 * (zero + one) / 2 + 0.7 * (one + last) / 2 for one in (first, second)]
    assert result.strict.areas["f1"] == pytest.approx(np.array(areas))
    assert result.strict.mean_areas["f1"] == pytest.approx(np.mean(areas))
    assert result.strict.area_deviations["f1"] == pytest.approx(np.std(areas, ddof=1))


def test_the_order_of_the_utterances_plays_no_part():
    predictions = random_sweep()
    order = np.random.default_rng(0).permutation(len(predictions.test.ids))
    shuffled = SweepPredictions(
        PLAN,
        BINARY,
        predictions.valid,
        fold(
            predictions.test.labels[order],
            {view: table[:, order] for view, table in predictions.test.views.items()},
        ),
        IDENTITY,
    )
    first, second = score_sweep(predictions), score_sweep(shuffled)
    assert first.tau == second.tau
    for name, values in first.strict.values.items():
        assert second.strict.values[name] == pytest.approx(values)


def test_log_space_subtracts_logarithms():
    predictions = random_sweep()
    result = score_sweep(predictions, debiasing="log")
    factual, counterfactual = predictions.test.scores(TRAINING_MEANS)
    assert result.answers == pytest.approx(np.log(factual) - result.tau * np.log(counterfactual))
    assert result.to_json()["debiasing"] == "log"
    # A probability that is rounded to zero is no infinity.
    predictions.test.views[COUNTERFACTUAL, TRAINING_MEANS][0, 0] = (0.0, 0.5, 0.5)
    assert np.isfinite(score_sweep(predictions, debiasing="log").answers).all()


# --- paper ---


def test_paper_takes_the_best_tau_on_the_test_labels():
    # Validation wants 0.6, the test utterances 1.2.
    result = score_sweep(sweep(EVEN, EVEN, test_margin=0.8))
    assert result.tau == 0.6
    assert result.debiased["acc2"] == [0.5, 0.5]
    assert result.paper.table.means["acc2"] == [1.0, 1.0]
    assert result.paper.taus["acc2"].tolist() == [[1.2], [1.2]]


def test_paper_takes_the_means_of_the_evaluated_split():
    result = score_sweep(sweep(EVEN, EVEN, test_margin=0.8, own_margin=0.1))
    assert result.paper.means == EVALUATED_MEANS
    assert result.paper.taus["acc2"].tolist() == [[0.2], [0.2]]
    without = score_sweep(sweep(EVEN, EVEN, test_margin=0.8))
    assert without.paper.means == TRAINING_MEANS


def test_paper_chooses_for_every_metric_rate_and_seed_alone():
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.4, 0.8), (0, 1))
    predictions = random_sweep(plan, size=60)
    paper = score_sweep(predictions).paper
    factual, counterfactual = predictions.test.scores(EVALUATED_MEANS)
    truth = np.sign(predictions.test.labels).astype(int) + 1
    for point in range(3):
        for seed in range(2):
            row = plan.index[point, seed]
            curve = [
                ((factual[row] - tau * counterfactual[row]).argmax(axis=1) == truth).mean()
                for tau in TAU_GRID
            ]
            assert paper.table.values["acc3"][point, seed] == pytest.approx(max(curve))
            assert paper.taus["acc3"][point, seed] == TAU_GRID[int(np.argmax(np.round(curve, 9)))]
    assert len({tuple(taus.ravel()) for taus in paper.taus.values()}) > 1


@pytest.mark.parametrize("seed", range(5))
def test_with_equal_means_paper_is_never_below_strict(seed):
    predictions = random_sweep(seed=seed)
    for text in (FACTUAL, COUNTERFACTUAL):
        predictions.test.views[text, EVALUATED_MEANS] = predictions.test.views[text, TRAINING_MEANS]
    result = score_sweep(predictions)
    for name, values in result.strict.values.items():
        assert (result.paper.table.values[name] >= values - 1e-12).all()


# --- kinds of models, tasks and plans ---


def test_without_counterfactual_text_there_is_no_tau():
    result = score_sweep(random_sweep(counterfactual=False))
    assert (result.tau, result.debiased, result.paper.taus) == (None, None, None)
    assert result.final == result.plain
    assert result.paper.means == EVALUATED_MEANS
    assert result.to_json()["tau"] is None


def test_without_any_causal_inference_both_protocols_are_equal():
    predictions = random_sweep(counterfactual=False)
    for part in (predictions.valid, predictions.test):
        table = part.views[FACTUAL, TRAINING_MEANS]
        part.views.clear()
        part.views[FACTUAL, NO_MEANS] = table
    result = score_sweep(predictions)
    assert result.paper.means == NO_MEANS
    assert result.to_json()["protocols"]["acc2"]["difference"] == [0.0, 0.0, 0.0]


def test_seven_classes_choose_by_acc7():
    result = score_sweep(random_sweep(task=SEVEN))
    assert result.tau_metric == "acc7"
    assert list(result.final) == metric_names(SEVEN)


def test_smm_has_a_mean_and_no_auilc():
    plan = SweepPlan.from_settings("smm", (), (0,))
    result = score_sweep(random_sweep(plan))
    content = result.to_json()
    assert (content["rates"], content["auilc"]) == ([], None)
    assert content["points"] == ["LAV", "LA", "LV", "L", "AV", "A", "V"]
    assert content["area"]["name"] == "mean_of_cases"
    assert content["area"]["values"]["acc3"] == pytest.approx(np.mean(result.final["acc3"]))


def test_a_part_of_the_rates_is_no_auilc():
    result = score_sweep(random_sweep(SweepPlan.from_settings("rmfm", (0.2, 0.4), (0,))))
    content = result.to_json()
    assert content["auilc"] is None
    assert content["area"]["name"] == "normalised_area"
    assert content["area"]["over"] == [0.2, 0.4]
    assert content["area"]["values"]["acc2"] == pytest.approx(np.mean(result.final["acc2"]))


def test_a_single_rate_has_scores_but_no_area():
    result = score_sweep(sweep(EVEN, EVEN, plan=SweepPlan.from_settings("rmfm", (0.5,), (0,))))
    assert (result.rates, result.tau) == ((0.5,), 0.6)
    assert result.debiased["acc2"] == [1.0]
    content = result.to_json()
    assert content["auilc"] is content["area"] is content["protocols"]["acc2"]["area"] is None


# --- what is told ---


def test_paper_is_never_alone_in_json():
    result = score_sweep(random_sweep())
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))

    def check(value):
        if isinstance(value, dict):
            if "paper" in value:
                assert {"strict", "difference"} <= value.keys()
                assert np.array(value["difference"]) == pytest.approx(
                    np.array(value["paper"]) - np.array(value["strict"])
                )
            for item in value.values():
                check(item)

    check(content)
    assert content["protocols"]["acc2"]["strict"] == content["debiased"]["acc2"]
    assert content["protocols"]["f1"]["area"]["strict"] == content["auilc"]["f1"]
    assert content["auilc"]["f1"] == pytest.approx(
        0.5
        * (content["debiased"]["f1"][0] + 2 * content["debiased"]["f1"][1] + content["debiased"]["f1"][2])
        / 2
    )


def test_an_empty_group_is_null_and_noted():
    result = score_sweep(sweep(EVEN, [0.0] * 6))
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["debiased"]["acc2"] == content["protocols"]["f1"]["paper"] == [None, None]
    assert content["protocols"]["acc2"]["paper_taus"] == [[None], [None]]
    assert content["area"]["values"]["acc2"] is None
    assert content["debiased"]["acc3"] == [0.0, 0.0]
    first, second = content["notes"]
    assert first.startswith("The test fold has no utterance of class negative, positive: weighted F1 leaves")
    assert second.startswith("acc2, f1: undefined, because no test utterance belongs to the group")


def test_an_empty_class_is_noted_and_nothing_else_is_undefined():
    result = score_sweep(sweep(EVEN, EVEN))
    assert len(result.notes) == 1
    assert result.notes[0].startswith("The test fold has no utterance of class neutral:")
    assert score_sweep(random_sweep(size=200)).notes == ()


def test_what_cannot_be_scored_is_one_line():
    with pytest.raises(
        RunError, match='"acc2" is undefined on the data to choose tau from: found no utterance'
    ):
        score_sweep(sweep([0.0] * 4, EVEN))
    with pytest.raises(RunError, match="the validation fold has no utterances to choose tau from"):
        score_sweep(sweep([], EVEN))
    with pytest.raises(RunError, match="the test fold has no utterances"):
        score_sweep(sweep(EVEN, []))


def test_a_single_seed_has_no_deviation():
    table = MetricTable(TWO, {"acc2": np.array([[0.5], [0.25]])})
    assert np.isnan(table.deviations["acc2"]).all()
    assert np.isnan(table.area_deviations["acc2"])
    assert table.mean_areas["acc2"] == pytest.approx(0.375)


def test_nan_becomes_null_at_any_depth():
    spread = {"acc2": {"0.0": (0.5, float("nan"))}, "rates": [float("nan"), 1.0]}
    assert without_nan(spread) == {"acc2": {"0.0": [0.5, None]}, "rates": [None, 1.0]}
