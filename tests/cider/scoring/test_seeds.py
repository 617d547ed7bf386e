import math

import numpy as np
import pytest
from scipy import stats

from cider.scoring.seeds import SeedInterval, seed_interval, seeds_needed, verdict

RESAMPLES = 300


def simulated(rng, num_seeds, of_seeds, of_videos):
    """Scores of a null, and on resampled videos: seeds, videos and utterances have effects with mean 0."""
    sizes = rng.integers(3, 12, 40)
    totals = sizes * (rng.normal(0, of_seeds, (num_seeds, 1)) + rng.normal(0, of_videos, 40))
    totals = totals + rng.normal(0, 5, (num_seeds, 40)) * np.sqrt(sizes)
    drawn = rng.multinomial(40, np.full(40, 1 / 40), size=RESAMPLES)
    return totals.sum(axis=1) / sizes.sum(), totals @ drawn.T / (drawn @ sizes)


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
@pytest.mark.parametrize(("of_seeds", "of_videos"), [(2.0, 1.0), (1.0, 6.0), (0.3, 10.0)])
def test_an_interval_of_a_null_holds_it_19_times_in_20(num_seeds, of_seeds, of_videos):
    rng = np.random.default_rng(num_seeds)
    held = 0
    for number in range(500):
        found = seed_interval(*simulated(rng, num_seeds, of_seeds, of_videos), seed=number)
        held += found.low <= 0 <= found.high
    # The band of 93 to 97 %, and what 500 trials are off by chance.
    assert 0.93 - 0.01 <= held / 500 <= 0.97 + 0.01


def test_without_noise_of_utterances_it_is_the_t_interval_of_the_seeds():
    scores = np.array([1.0, 2.0, 4.0, 5.0])
    found = seed_interval(scores, np.repeat(scores[:, None], 200_000, axis=1))
    low, high = stats.t.interval(0.95, 3, loc=scores.mean(), scale=stats.sem(scores))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)


def test_without_spread_of_seeds_it_is_the_interval_of_the_utterances():
    rng = np.random.default_rng(0)
    row = rng.normal(2, 0.5, 5000)
    found = seed_interval(np.full(4, 2.0), np.tile(row, (4, 1)))
    assert (found.low, found.high) == pytest.approx((2 - 1.96 * 0.5, 2 + 1.96 * 0.5), rel=0.05)


def test_one_seed_is_the_network_alone():
    found = seed_interval(np.array([1.5]), np.random.default_rng(0).normal(1.5, 1, (1, 5000)))
    assert (found.num_seeds, found.seeds_needed) == (1, None)
    assert math.isnan(found.deviation)
    assert found.to_json()["deviation"] is None
    assert "one seed: the interval is of this network alone" in verdict(found)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(0)
    scores, resampled = simulated(rng, 5, 1, 1)
    assert seed_interval(scores, resampled) == seed_interval(scores, resampled)


@pytest.mark.parametrize(("mean", "deviation"), [(2.0, 2.0), (1.0, 2.0), (3.0, 1.0)])
def test_seeds_needed_have_the_power_in_a_simulation(mean, deviation):
    number = seeds_needed(mean, deviation)
    rng = np.random.default_rng(1)
    samples = rng.normal(mean, deviation, (4000, number))
    found = stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05
    assert found.mean() >= 0.78
    fewer = stats.ttest_1samp(samples[:, : number - 1], 0, axis=1).pvalue < 0.05 if number > 2 else found
    assert fewer.mean() <= 0.82


def test_a_difference_of_nothing_needs_more_seeds_than_there_are():
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(0.01, 2.0) is None
    assert seeds_needed(1.0, 0.0) == 2


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (SeedInterval(1.9, 0.8, 3.1, 10, 1.2), "better by 1.9 [0.8, 3.1] (10 seeds)"),
        (SeedInterval(-1.9, -3.1, -0.8, 10, 1.2), "worse by 1.9 [0.8, 3.1] (10 seeds)"),
        (
            SeedInterval(0.5, -0.8, 1.8, 3, 1.2),
            "no difference shown: +0.5 [-0.8, +1.8] (3 seeds; about 48 seeds would show it)",
        ),
        (
            SeedInterval(0.0, -0.8, 0.8, 3, 1.2),
            "no difference shown: +0.0 [-0.8, +0.8] (3 seeds)",
        ),
    ],
)
def test_the_verdict_in_words(interval, words):
    assert verdict(interval) == words
