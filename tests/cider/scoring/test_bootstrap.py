from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cider.scoring.bootstrap import holm, mcnemar, percentile_interval, resample
from mer_data.errors import RunError

VIDEOS = ["a"] * 3 + ["b"] * 2 + ["c"] * 5


# --- resampling ---


def test_utterances_are_drawn_with_replacement():
    weights = resample(VIDEOS, "utterances", 2000)
    assert weights.shape == (2000, 10)
    assert (weights.sum(axis=1) == 10).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(10), abs=0.1)
    # Binomial(10, 1/10) each.
    assert weights.var(axis=0) == pytest.approx(np.full(10, 0.9), abs=0.15)
    assert (weights == 0).mean() == pytest.approx(0.9**10, abs=0.02)


def test_a_video_brings_all_its_utterances():
    weights = resample(VIDEOS, "videos", 500)
    columns = weights[:, [0, 3, 5]]
    assert (columns.sum(axis=1) == 3).all()
    for video, column in zip("abc", columns.T, strict=True):
        members = [number for number, name in enumerate(VIDEOS) if name == video]
        assert (weights[:, members] == column[:, None]).all()
    assert set(weights.sum(axis=1)) > {10.0}


def test_the_seed_decides():
    assert np.array_equal(resample(VIDEOS, "videos", 50), resample(VIDEOS, "videos", 50))
    assert not np.array_equal(resample(VIDEOS, "videos", 50), resample(VIDEOS, "videos", 50, seed=1))


def test_intervals_cover_as_often_as_they_say():
    """Of 200 samples of a known mean 95 % of the intervals hold it; with clusters only those by video."""
    rng = np.random.default_rng(0)
    videos = [str(number // 10) for number in range(400)]
    hits = {"utterances": 0, "videos": 0}
    weights = {unit: resample(videos, unit, 400) for unit in hits}
    for _ in range(200):
        chance = np.clip(rng.normal(0.6, 0.2, size=40), 0, 1)  # what a video's utterances have in common
        truth = rng.random(400) < np.repeat(chance, 10)
        for unit, table in weights.items():
            low, high = percentile_interval(table @ truth / table.sum(axis=1))
            hits[unit] += bool(low <= 0.6 <= high)
    assert 0.89 <= hits["videos"] / 200 <= 0.99
    assert hits["utterances"] / 200 < 0.9


def test_the_interval_is_that_of_percentiles():
    values = np.stack([np.arange(1001.0), np.arange(1001.0)[::-1] * 2])
    assert percentile_interval(values) == pytest.approx(np.array([[25.0, 975.0], [50.0, 1950.0]]))
    assert percentile_interval(values[0], level=0.5) == pytest.approx(np.array([250.0, 750.0]))


def test_undefined_resamples_are_left_out():
    values = np.array([np.nan] * 5 + list(range(101)))
    assert percentile_interval(values) == pytest.approx(np.array([2.5, 97.5]))
    assert np.isnan(percentile_interval(np.full((2, 4), np.nan))).all()


# --- McNemar ---


def right(both, first, second, neither):
    """Answers with these counts."""
    one = [True] * (both + first) + [False] * (second + neither)
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return np.array(one), np.array(other)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5))
def test_mcnemar_is_the_exact_binomial_test(first, second, both):
    result = mcnemar(*right(both, first, second, 3))
    assert (result.only_first, result.only_second) == (first, second)
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert result.p_value == pytest.approx(expected)
    assert mcnemar(*right(both, second, first, 3)).p_value == result.p_value


def test_mcnemar_by_hand():
    # One of six the other way round: 2 * (C(6, 0) + C(6, 1)) / 2^6.
    assert mcnemar(*right(9, 1, 5, 0)).p_value == float(Fraction(14, 64))
    assert mcnemar(*right(5, 0, 0, 5)).p_value == 1.0
    assert mcnemar(*right(0, 4, 4, 0)).p_value == 1.0


def test_mcnemar_of_many_utterances_is_near_its_approximation():
    result = mcnemar(*right(0, 2200, 2400, 0))
    corrected = (200 - 1) ** 2 / 4600
    assert result.p_value == pytest.approx(stats.chi2.sf(corrected, 1), rel=0.02)
    assert 0 < mcnemar(*right(0, 0, 900, 0)).p_value < 1e-200


def test_unpaired_answers_are_refused():
    with pytest.raises(RunError, match=r"different numbers of test utterances .* found 2, expected 3"):
        mcnemar(np.ones(3, dtype=bool), np.ones(2, dtype=bool))


# --- Holm ---


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_is_never_below_the_p_value(p_values):
    adjusted = holm(p_values)
    for p, value in zip(p_values, adjusted, strict=True):
        assert p <= value <= 1
    ranked = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
    assert min(adjusted) == pytest.approx(min(1, len(p_values) * min(p_values)))
