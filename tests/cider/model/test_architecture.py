import pytest
from pydantic import ValidationError

from cider.model.architecture import Architecture, FeatureShapes
from mer_data.errors import MerDataError

SIZES = {
    "text_width": 8,
    "audio_width": 2,
    "vision_width": 3,
    "text_length": 5,
    "audio_length": 9,
    "vision_length": 7,
}


@pytest.mark.parametrize("name", sorted(set(SIZES) - {"audio_width", "vision_width"}))
def test_sizes_must_be_positive(name):
    with pytest.raises(MerDataError, match=f"{name} is not positive: found 0, expected at least 1"):
        FeatureShapes(**{**SIZES, name: 0}, aligned=False)


@pytest.mark.parametrize("name", ["audio", "vision"])
def test_a_modality_may_be_absent_but_has_no_negative_width(name):
    assert FeatureShapes(**{**SIZES, f"{name}_width": 0}, aligned=False).absent == (name,)
    with pytest.raises(MerDataError, match=f"{name}_width is negative: found -1, expected at least 0"):
        FeatureShapes(**{**SIZES, f"{name}_width": -1}, aligned=False)


def test_aligned_lengths_must_be_equal():
    with pytest.raises(MerDataError, match=r"unequal .* lengths: found \(5, 9, 7\), expected 5 for each"):
        FeatureShapes(**SIZES, aligned=True)
    assert FeatureShapes(**{**SIZES, "audio_length": 5, "vision_length": 5}, aligned=True).aligned


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layers": 0}, "layers\n.*greater than or equal to 1"),
        ({"heads": 0}, "heads\n.*greater than or equal to 1"),
        ({"width": -1}, "width\n.*greater than or equal to 1"),
        ({"width": 30, "heads": 4}, "4 heads do not divide the width 30"),
        ({"attention_dropout": 1.0}, "attention_dropout\n.*less than 1"),
        ({"output_dropout": -0.1}, "output_dropout\n.*greater than or equal to 0"),
        ({"relu_dropout": float("nan")}, "relu_dropout\n.*finite number"),
        ({"depth": 3}, "known here: width, layers, heads"),
    ],
)
def test_impossible_architectures_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Architecture(**values)
