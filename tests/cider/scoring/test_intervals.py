import json

import numpy as np
import pytest
from evaluation_builders import BINARY, IDENTITY, PLAN, fold, random_sweep

from cider.scoring.conditions import SweepPlan
from cider.scoring.intervals import resampled_scores, sweep_intervals, weights_by_unit
from cider.scoring.metrics import scores
from cider.scoring.prediction_frame import FACTUAL, TRAINING_MEANS, SweepPredictions
from cider.scoring.protocols import score_sweep

SEEDS = SweepPlan.from_settings("rmfm", (0.0, 0.5), (0, 1))


def test_a_resample_is_the_scores_of_the_drawn_utterances():
    predictions = random_sweep(SEEDS, size=30)
    result = score_sweep(predictions)
    weights = weights_by_unit(predictions.test.videos, 5)[0]["videos"]
    found = resampled_scores(SEEDS, result.answers, predictions.test.labels, BINARY, weights)
    for number, row in enumerate(weights):
        drawn = np.repeat(np.arange(30), row.astype(int))
        by_condition = [
            scores(table[drawn], predictions.test.labels[drawn], BINARY) for table in result.answers
        ]
        zero, first, second = by_condition
        for name, values in found.items():
            assert values[0, number] == pytest.approx(zero[name])
            assert values[1, number] == pytest.approx((first[name] + second[name]) / 2)


def test_intervals_hold_the_scores_and_shrink_with_the_test_fold():
    widths = []
    for size in (30, 300):
        predictions = random_sweep(size=size)
        result = score_sweep(predictions)
        intervals = sweep_intervals(predictions, result, 300)
        for interval in intervals.strict.values():
            for name, bounds in interval.points.items():
                means = np.array(result.final[name])
                assert ((bounds[:, 0] <= means) & (means <= bounds[:, 1])).all()
                low, high = interval.areas[name]
                assert low <= result.strict.mean_areas[name] <= high
        low, high = intervals.strict["utterances"].areas["acc3"]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_change_is_paired():
    sweeps = (random_sweep(size=60, seed=seed) for seed in range(50))
    predictions = next(one for one in sweeps if score_sweep(one).tau > 0)
    result = score_sweep(predictions)
    intervals = sweep_intervals(predictions, result, 200)
    change = intervals.change["utterances"]
    assert intervals.notes == ("The test fold has 15 videos: intervals over so few tend to be too narrow.",)
    # Equal answers differ by nothing in every resample, however uncertain each of them is.
    same = SweepPredictions(
        PLAN, BINARY, predictions.valid, fold(predictions.test.labels, dict(predictions.test.views)), IDENTITY
    )
    same.test.views[FACTUAL, TRAINING_MEANS] = result.answers
    unchanged = sweep_intervals(same, result, 200).change["utterances"]
    assert (unchanged.areas["acc2"] == 0).all()
    assert (change.areas["acc2"] != 0).any()
    difference = result.strict.mean_areas["acc2"] - result.without.mean_areas["acc2"]
    assert change.areas["acc2"][0] <= difference <= change.areas["acc2"][1]


def test_without_counterfactual_text_there_is_no_change():
    predictions = random_sweep(counterfactual=False)
    assert sweep_intervals(predictions, score_sweep(predictions), 100).change is None


def test_a_single_video_has_no_interval_over_videos():
    weights, notes = weights_by_unit(["v"] * 5, 10)
    assert list(weights) == ["utterances"]
    assert notes == ("The test fold is a single video: there is no interval over videos.",)
    weights, notes = weights_by_unit([str(number) for number in range(20)], 10)
    assert list(weights) == ["utterances", "videos"]
    assert notes == ()


def test_intervals_are_repeatable_and_json_for_any_reader():
    predictions = random_sweep()
    predictions.test.labels[:] = 0  # acc2 has no utterance
    result = score_sweep(predictions)
    first, second = (sweep_intervals(predictions, result, 100).to_json() for _ in range(2))
    content = json.loads(json.dumps(first, allow_nan=False))
    assert content == json.loads(json.dumps(second))
    assert content["strict"]["videos"]["points"]["acc2"] == [[None, None]] * 3
    assert content["strict"]["videos"]["area"]["acc2"] == [None, None]
    low, high = content["strict"]["videos"]["area"]["acc3"]
    assert low <= high
    assert (content["level"], content["resamples"], content["seed"]) == (0.95, 100, 0)
