import math

import pytest

from mer_data.reports.formatting import (
    UNKNOWN,
    count_of,
    mean_and_deviation,
    measure,
    number,
    percent,
    percent_spread,
    spread,
)

RECORDED = {"a": {"b": 0.25, "none": None, "text": "0.5", "flag": True, "nan": math.nan}, "list": [1]}


def test_measure_finds_numbers_and_nothing_else():
    assert measure(RECORDED, "a", "b") == 0.25
    for keys in (
        ("a",),
        ("a", "none"),
        ("a", "text"),
        ("a", "flag"),
        ("a", "nan"),
        ("list", "0"),
        ("x", "y"),
    ):
        assert measure(RECORDED, *keys) is None
    assert measure(None, "a") is None
    assert measure([], "a") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.12345), "0.1235"),
        (number(1234.0, 0), "1,234"),
        (number(None), UNKNOWN),
        (number(math.nan), UNKNOWN),
        (percent(0.12345), "12.3"),
        (percent(None), UNKNOWN),
        (spread(0.5, 0.25, 2), "0.50 ± 0.25"),
        (spread(0.5, None, 2), "0.50"),
        (spread(None, 0.25), UNKNOWN),
        (percent_spread(0.5, 0.25), "50.0 ± 25.0"),
        (percent_spread(0.5, None), "50.0"),
        (percent_spread(None, None), UNKNOWN),
        (count_of(1, "split"), "1 split"),
        (count_of(2199, "utterance"), "2,199 utterances"),
        (count_of(0, "split"), "0 splits"),
    ],
)
def test_numbers_as_text(text, expected):
    assert text == expected


def test_mean_and_deviation_of_what_is_known():
    assert mean_and_deviation([1.0, None, 3.0, math.nan]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_deviation([1.0]) == (1.0, None)
    assert mean_and_deviation([None]) == (None, None)
