import math

import pytest

from cider.cli_options import parse_rates, parse_seeds
from mer_data.errors import RecipeError


def test_rates_and_seeds_are_parsed():
    assert parse_rates("0,0.5,1") == (0.0, 0.5, 1.0)
    assert parse_rates(" 0.25 ") == (0.25,)
    assert parse_seeds("0,2,1") == (0, 2, 1)


@pytest.mark.parametrize(
    "text", ["", "a", "0,,1", "0;1", "1,0", "0,0", "-0.1,0", "0,1.1", "nan", "0,nan,1", "inf"]
)
def test_other_rates_are_refused(text):
    with pytest.raises(RecipeError, match=r"not a list of missing rates: found .*rising numbers in \[0, 1\]"):
        assert not math.isnan(sum(parse_rates(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "0,,1",
        "0.5",
        "0,0",
        "-1",
        "1,,2",
        "²",
        "4294967296",
        "9" * 5000,
        ",".join(map(str, range(1001))),
    ],
)
def test_other_seeds_are_refused(text):
    with pytest.raises(RecipeError, match=r"not a list of seeds: found .* expected different whole numbers"):
        parse_seeds(text)


def test_a_long_list_is_cut_in_the_message():
    with pytest.raises(RecipeError) as info:
        parse_seeds("x" * 10_000)
    assert len(str(info.value)) < 300
    with pytest.raises(RecipeError):
        parse_rates(",".join(str(number / 2000) for number in range(1500)))
