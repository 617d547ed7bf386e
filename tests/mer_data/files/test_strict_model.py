"""What is wrong by a schema is told with the key, the value, its line, and the right words."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from mer_data.errors import SourceError
from mer_data.files.strict_model import Number, StrictModel, WholeNumber, load_model, tell_faults


class Inner(StrictModel):
    layers: WholeNumber = Field(default=2, ge=1, le=64)
    rate: Number = 0.5
    pattern: Literal["rmfm", "rmm"] = "rmm"


class Outer(StrictModel):
    name: str = "x"
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()


def faults(content):
    with pytest.raises(ValidationError) as info:
        Outer.model_validate(content)
    return tell_faults(info.value, lambda place: None)


def test_an_unknown_key_names_the_close_one_and_those_of_its_group():
    assert faults({"inner": {"layer": 1}}) == (
        "inner.layer: unknown key, did you mean layers? known here: layers, rate, pattern"
    )
    assert faults({"several": [{"x": 1}]}) == "several.0.x: unknown key, known here: layers, rate, pattern"
    assert faults({"nam": 1}) == "nam: unknown key, did you mean name? known here: name, inner, several"


def test_an_unknown_choice_names_the_close_one_once():
    assert faults({"inner": {"pattern": "rmfn"}}) == (
        "inner.pattern: Input should be 'rmfm' or 'rmm', did you mean rmfm?, found 'rmfn'"
    )


@pytest.mark.parametrize("value", [True, "2", 2.0, None])
def test_a_whole_number_is_nothing_else(value):
    assert faults({"inner": {"layers": value}}) == (
        f"inner.layers: Input should be a valid integer, found {value!r}"
    )


@pytest.mark.parametrize("value", [True, "0.5", float("inf"), float("nan"), 10**400])
def test_a_number_is_finite_and_nothing_else(value):
    assert faults({"inner": {"rate": value}}).startswith("inner.rate: Input should be a ")


def test_a_whole_number_is_a_number():
    assert Inner(rate=1).rate == 1.0


def test_a_long_value_is_cut():
    told = faults({"inner": {"pattern": "x" * 100_000}})
    assert told.endswith("xxx...")
    assert len(told) < 200


def test_many_faults_are_counted():
    told = faults({f"key{number}": 1 for number in range(20)})
    assert told.count("unknown key") == 8
    assert told.endswith("; and 12 more")


def test_a_file_is_told_with_its_lines(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: x\ninner:\n  layers: 0\n  rat: 1\n", encoding="utf-8")
    with pytest.raises(
        SourceError,
        match=r"wrong list \(inner\.layers: .*, found 0 \(line 3\); inner\.rat: .* \(line 4\)\) in .*a\.yaml",
    ):
        load_model(path, Outer, "list", SourceError)
    path.write_text("name: y\n", encoding="utf-8")
    assert load_model(path, Outer, "list", SourceError) == Outer(name="y")


def test_a_loaded_value_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Outer().name = "y"
