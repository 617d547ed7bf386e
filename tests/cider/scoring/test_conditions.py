import numpy as np
import pytest

from cider.scoring.conditions import (
    COMPLETE,
    NOTHING,
    RANDOM_PATTERNS,
    SMM_CASES,
    Condition,
    SweepPlan,
    condition_of,
)
from mer_data.errors import RecipeError
from mer_data.torch_data.missing import KEPT_MODALITIES, PATTERNS


def test_patterns_are_those_of_the_missing_room():
    assert set(RANDOM_PATTERNS) == set(PATTERNS)
    assert set(SMM_CASES) == set(KEPT_MODALITIES)


@pytest.mark.parametrize("pattern", RANDOM_PATTERNS)
def test_both_ends_know_neither_pattern_nor_seed(pattern):
    assert condition_of(pattern, 0.0, 3) == COMPLETE
    assert condition_of(pattern, 1.0, 3) == NOTHING
    assert condition_of(pattern, 0.1 + 0.2, 3) == Condition(pattern, 0.3, "", 3)


def test_smm_has_complete_data_and_no_other_rate():
    assert condition_of("smm", 0.0, 0) == COMPLETE
    with pytest.raises(RecipeError, match="no missing pattern with rates: found 'smm', expected rmfm or"):
        condition_of("smm", 0.5, 0)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(RecipeError, match="impossible missing rate: found"):
        condition_of("rmfm", rate, 0)
    with pytest.raises(RecipeError, match="no missing pattern with rates: found 'other'"):
        condition_of("other", 0.0, 0)


def test_names_are_unique_and_fit_for_files():
    conditions = [
        condition_of(pattern, rate, seed)
        for pattern in RANDOM_PATTERNS
        for rate in (0.0, 0.05, 0.1, 0.5, 1.0)
        for seed in (0, 1)
    ]
    conditions += SweepPlan.from_settings("smm", (), (0,)).conditions
    distinct = set(conditions)
    assert len({condition.name for condition in distinct}) == len(distinct)
    assert condition_of("rmfm", 0.05, 1).name == "rmfm-rate0.05-mask1"
    assert COMPLETE.name == "complete"
    assert not any(set(condition.name) & set("/ :") for condition in conditions)


def test_shared_conditions_are_predicted_once():
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0, 1, 2))
    assert [condition.name for condition in plan.conditions] == [
        "complete",
        "rmfm-rate0.5-mask0",
        "nothing",
        "rmfm-rate0.5-mask1",
        "rmfm-rate0.5-mask2",
    ]
    assert plan.index.tolist() == [[0, 0, 0], [1, 3, 4], [2, 2, 2]]
    for point, rows in zip(plan.points, plan.index, strict=True):
        assert [plan.conditions[row] for row in rows] == list(point.conditions)


def test_smm_has_seven_cases_and_no_seeds():
    plan = SweepPlan.from_settings("smm", (0.0, 0.5), (0, 1))
    assert [point.label for point in plan.points] == list(SMM_CASES)
    assert plan.conditions[0] == COMPLETE
    assert (plan.rates, plan.mask_seeds, plan.name) == ((), (0,), "smm")


def test_folders_are_named_by_pattern_and_seeds():
    assert SweepPlan.from_settings("rmm", (0.5,), (3,)).name == "rmm-mask3"
    assert SweepPlan.from_settings("rmm", (0.5,), (0, 2)).name == "rmm-mask0-2"


def test_close_rates_have_labels_of_their_own():
    plan = SweepPlan.from_settings("rmfm", (0.0, 0.05, 0.1, 0.25, 1.0), (0,))
    assert [point.label for point in plan.points] == ["0.0", "0.05", "0.1", "0.25", "1.0"]


def test_only_the_area_over_all_rates_is_auilc():
    full = SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0,))
    part = SweepPlan.from_settings("rmfm", (0.2, 0.4, 0.6), (0,))
    single = SweepPlan.from_settings("rmfm", (0.5,), (0,))
    smm = SweepPlan.from_settings("smm", (), (0,))
    assert [plan.area_name for plan in (full, part, single, smm)] == [
        "auilc",
        "normalised_area",
        None,
        "mean_of_cases",
    ]
    values = np.array([0.9, 0.6, 0.3])
    assert full.area(values) == pytest.approx(0.5 * (0.9 + 0.6) / 2 + 0.5 * (0.6 + 0.3) / 2)
    # Half of the trapezoid rule's 0.2 * 0.75 + 0.2 * 0.45, as the rates span 0.4.
    assert part.area(values) == pytest.approx((0.2 * 0.75 + 0.2 * 0.45) / 0.4)
    assert part.area(np.full(3, 0.7)) == pytest.approx(0.7)
    assert single.area(values[:1]) == 0.9
    assert smm.area(np.arange(7.0)) == 3.0
    table = np.stack([values, values / 2], axis=1)
    assert full.area(table) == pytest.approx(np.array([0.6, 0.3]))
