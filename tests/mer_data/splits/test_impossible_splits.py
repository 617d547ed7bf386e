"""Requests that a corpus cannot fill: one clear line each, with what is feasible."""

import re

import numpy as np
import pytest

from mer_data.errors import SplitError

REFUSED = {
    "no frequent word": (
        {},
        {"min_count": 300},
        r"no word is frequent enough .*found at most \d+ .*Lower --min-count",
    ),
    "no text": ({"text": ""}, {}, "found no word in any text.*source with texts"),
    "no letters": ({"text": "... ?"}, {}, "found no word in any text"),
    "equal texts": (
        {"text": "SO IT GOES"},
        {},
        "no swap changes the divergence: found severity 0.6 .*severity 0",
    ),
    "no steps": ({}, {"steps_per_utterance": 0}, "no swap changes the divergence"),
    "class without utterance": (
        {},
        {"task": "seven"},
        'class of the task "seven" has no utterance: found none of class -3, 1, 3 among 300. Choose another'
        " task, or build the store",
    ),
    "class without utterance in small sizes": (
        {},
        {"task": "seven", "sizes": (10, 5, 5)},
        'class of the task "seven" has no utterance: .* among 20. Choose another task, or give larger',
    ),
    "larger than the corpus": (
        {},
        {"sizes": (200, 90, 30)},
        "sizes are larger than the corpus: found 320 utterances asked for, expected at most 300",
    ),
    "small fold": (
        {},
        {"sizes": (100, 2, 50)},
        "too small to repartition: found train 100, valid 2, test 50, expected at least 3",
    ),
    "no folds": ({"fold": "none"}, {}, "no standard folds to take sizes from. Give --sizes"),
    "unknown fold": ({"fold": "dev"}, {}, "unknown fold: found 'dev'"),
    "one video": ({"video_id": "a"}, {"group_by": "video"}, "too few videos .*found 1, expected at least 3"),
    "videos that do not fit": (
        {"video_id": np.repeat(["a", "b", "c"], 100), "text": "A B"},
        {"group_by": "video", "sizes": (50, 50, 200), "label_tolerance": 1.0, "severity": 0},
        'no whole video fits in fold "valid". Give larger --sizes',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_requests_are_refused(corpus, series, name):
    columns, options, message = REFUSED[name]
    with pytest.raises(SplitError, match=message) as caught:
        series(corpus.assign(**columns), None, **options)
    assert "\n" not in str(caught.value)


def test_a_tolerance_that_odd_sizes_cannot_meet_is_refused_with_one_that_they_can(corpus, ood):
    corpus = corpus.iloc[:299]
    with pytest.raises(SplitError, match="the label tolerance cannot be met: found class shares") as caught:
        ood(corpus, label_tolerance=0.0)
    feasible = float(re.search(r"Raise --label-tolerance to ([\d.]+) or more", str(caught.value))[1])
    assert 0 < feasible < 0.02
    assert ood(corpus, label_tolerance=feasible).shift["max_label_share_deviation"] <= feasible


def test_a_tolerance_of_zero_is_met_where_sizes_allow_it(corpus, ood):
    assert ood(corpus, label_tolerance=0.0).shift["max_label_share_deviation"] == 0


def test_levels_too_close_for_a_corpus_are_refused(corpus, series):
    with pytest.raises(SplitError, match=r"two severities are the same split.* found 0.5 and 0.5000001"):
        series(corpus, [0, 0.5, 0.5000001])
    with pytest.raises(SplitError, match=r"impossible severity: found 1\.5"):
        series(corpus, [0, 1.5])


def test_an_incomplete_corpus_is_refused(corpus, ood):
    corpus.loc[corpus.index[corpus["fold"] == "valid"][2:], "fold"] = "none"
    with pytest.raises(SplitError, match="too small to repartition: found train 180, valid 2, test 90"):
        ood(corpus)
    corpus.loc[corpus["fold"] == "valid", "fold"] = "none"
    with pytest.raises(SplitError, match='standard fold "valid" is empty'):
        ood(corpus)
