import numpy as np
import pytest

from cider.scoring.metrics import auilc, score
from cider.scoring.subtraction import TAU_GRID, best_strengths, choose_tau, debiased, tau_curves
from mer_data.errors import RunError
from mer_data.tasks import TASKS

BINARY = TASKS["binary"]
LABELS = np.array([-1.0, -1.0, 1.0, 1.0])
BIAS = np.array([[0.1, 0.1, 0.8]] * 4)  # the counterfactual text always says positive


def factual(margin: float) -> np.ndarray:
    """Positive by far, where the first two lean to negative once ``margin`` is taken from positive."""
    negative = [0.8 - margin, 0.0, 0.8]
    return np.array([negative, negative, [0.0, 0.0, 1.8], [0.0, 0.0, 1.8]])


def test_debiased_subtracts():
    assert debiased(np.array([[0.5, 0.5]]), np.array([[0.2, 0.6]]), 0.5) == pytest.approx(
        np.array([[0.4, 0.2]])
    )
    with pytest.raises(RunError, match=r"differ in shape: found \(1, 3\), expected \(1, 2\)"):
        debiased(np.zeros((1, 2)), np.zeros((1, 3)), 1.0)


def test_grid_is_zero_to_three_by_a_tenth():
    assert len(TAU_GRID) == 31
    assert (TAU_GRID[0], TAU_GRID[3], TAU_GRID[-1]) == (0.0, 0.3, 3.0)


def test_the_weakest_of_the_best_strengths_is_chosen():
    # negative wins once tau * 0.7 > 0.4: from 0.6 on; positive stays right until tau * 0.7 > 1.8: beyond 2.5
    given = {0.0: (factual(0.4), BIAS)}
    good = [tau for tau in TAU_GRID if score(debiased(*given[0.0], tau), LABELS, BINARY, "acc2") == 1]
    assert (good[0], good[-1]) == (0.6, 2.5)
    assert choose_tau(given, LABELS, BINARY, "acc2") == 0.6


def test_where_debiasing_does_not_help_tau_is_zero():
    right = np.eye(3)[[0, 0, 2, 2]]
    assert choose_tau({0.0: (right, np.full((4, 3), 1 / 3))}, LABELS, BINARY, "f1") == 0.0


def test_equally_good_strengths_of_both_signs_give_the_one_near_zero():
    right = np.eye(3)[[0, 0, 2, 2]]
    same = {0.0: (right, np.full((4, 3), 1 / 3))}
    assert choose_tau(same, LABELS, BINARY, "acc2", grid=(2.0, -0.5, 1.0)) == -0.5


def test_several_rates_are_compared_by_their_area():
    by_rate = {1.0: (factual(0.72), BIAS), 0.0: (factual(0.1), BIAS), 0.5: (factual(0.8), 3 * BIAS)}
    chosen = choose_tau(by_rate, LABELS, BINARY, "acc2")
    rates = sorted(by_rate)
    areas = {
        tau: auilc(rates, [score(debiased(*by_rate[rate], tau), LABELS, BINARY, "acc2") for rate in rates])
        for tau in TAU_GRID
    }
    assert areas[chosen] == max(areas.values())
    assert chosen == min(tau for tau, area in areas.items() if area == areas[chosen])
    # rate 0.5 wants 0.4 to 0.8 and weighs most; alone, rate 0 chooses 0.2 and rate 1 chooses 1.1
    assert chosen == 0.4
    assert [choose_tau({rate: by_rate[rate]}, LABELS, BINARY, "acc2") for rate in rates] == [0.2, 0.4, 1.1]


def test_impossible_choices_are_refused():
    with pytest.raises(RunError, match="nothing to choose tau from: found 0 rates"):
        choose_tau({}, LABELS, BINARY, "acc2")
    with pytest.raises(RunError, match='has no metric "acc9"'):
        choose_tau({0.0: (BIAS, BIAS)}, LABELS, BINARY, "acc9")
    with pytest.raises(RunError, match=r'"acc2" is undefined .* among 4. Choose tau on another fold'):
        choose_tau({0.0: (BIAS, BIAS)}, np.zeros(4), BINARY, "acc2")


def test_log_space_subtracts_logarithms():
    first, second = np.array([[0.5, 0.4, 0.1]]), np.array([[0.2, 0.8, 0.0]])
    found = debiased(first, second, 0.5, "log")
    assert found[0, :2] == pytest.approx([np.log(0.5) - 0.5 * np.log(0.2), np.log(0.4) - 0.5 * np.log(0.8)])
    assert np.isfinite(found).all()
    assert debiased(first, second, 0.0, "log").argmax() == first.argmax()


def test_the_space_changes_the_choice():
    # In log space, any strength above 0 takes more from "positive" the less sure the others are.
    factual_scores = np.array([[0.45, 0.05, 0.5]] * 2 + [[0.05, 0.05, 0.9]] * 2)
    bias = np.array([[0.05, 0.05, 0.9]] * 4)
    assert choose_tau({0.0: (factual_scores, bias)}, LABELS, BINARY, "acc2") == 0.1
    assert choose_tau({0.0: (factual_scores, bias)}, LABELS, BINARY, "acc2", space="log") == 0.1
    firm = np.array([[0.2, 0.05, 0.75]] * 2 + [[0.01, 0.01, 0.98]] * 2)
    assert choose_tau({0.0: (firm, bias)}, LABELS, BINARY, "acc2") == 0.7
    assert choose_tau({0.0: (firm, bias)}, LABELS, BINARY, "acc2", space="log") == 0.5


def test_curves_are_the_metric_at_every_strength():
    rng = np.random.default_rng(1)
    one, other = rng.random((2, 5, 4, 3))
    curves = tau_curves(one, other, LABELS, BINARY, ["acc2", "f1"], grid=(0.0, 0.7, 2.0))
    for number, tau in enumerate((0.0, 0.7, 2.0)):
        for row in range(5):
            for name in ("acc2", "f1"):
                expected = score(debiased(one[row], other[row], tau), LABELS, BINARY, name)
                assert curves[name][number, row] == pytest.approx(expected)


def test_the_weakest_of_the_best_of_every_column():
    values = np.array([[0.5, 0.9, np.nan], [0.7, 0.1, np.nan], [0.7, 0.9, np.nan]])
    strengths, best = best_strengths(values, grid=(3.0, 2.0, -1.0))
    assert strengths[:2].tolist() == [-1.0, -1.0]
    assert best[:2].tolist() == [0.7, 0.9]
    assert np.isnan([strengths[2], best[2]]).all()
