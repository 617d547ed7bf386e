"""Lists of numbers as they are typed. Does not import torch."""

from __future__ import annotations

from mer_data.errors import RecipeError


def parse_rates(text: str) -> tuple[float, ...]:
    """Missing rates from "0,0.5,1".

    Raises:
        RecipeError: not numbers, not rising, or outside [0, 1].
    """
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError:
        rates = ()
    if not rates or any(not 0 <= rate <= 1 for rate in rates) or list(rates) != sorted(set(rates)):
        raise RecipeError(
            "not a list of missing rates", found=repr(text), expected="rising numbers in [0, 1], as 0,0.5,1"
        )
    return rates


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds of training or of masks from "1111,1112".

    Raises:
        RecipeError: not whole numbers from 0 on, or one twice.
    """
    parts = [part.strip() for part in text.split(",")]
    seeds = tuple(int(part) for part in parts if part.isdecimal())
    if len(set(seeds)) < len(parts):
        raise RecipeError(
            "not a list of seeds",
            found=repr(text),
            expected="different whole numbers from 0 on, as 1111,1112,1113",
        )
    return seeds
