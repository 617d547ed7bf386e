import pytest

from mer_data import errors
from mer_data.errors import MerDataError, SourceError, closest, did_you_mean


def test_message_says_what_where_found_expected_and_what_to_do():
    error = SourceError("bad label", where="f.csd", found=9, expected="at most 3", do="Fetch the file again")
    assert str(error) == "bad label in f.csd: found 9, expected at most 3. Fetch the file again."


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "bad."),
        ({"where": "f"}, "bad in f."),
        ({"found": 0}, "bad: found 0."),
        ({"expected": "x"}, "bad: expected x."),
        ({"found": False, "expected": True}, "bad: found False, expected True."),
        ({"do": "Try again."}, "bad. Try again."),
    ],
)
def test_absent_parts_leave_no_trace(parts, message):
    assert str(MerDataError("bad", **parts)) == message


def test_a_full_stop_is_not_doubled():
    assert str(MerDataError("bad.", do="Stop.")) == "bad. Stop."


def test_message_is_one_line_whatever_it_quotes():
    assert str(MerDataError("bad\nline", found="a\n  b\tc")) == "bad line: found a b c."


def test_every_error_can_be_caught_as_one():
    children = [value for name, value in vars(errors).items() if name.endswith("Error")]
    assert len(children) >= 7
    assert all(issubclass(child, MerDataError) for child in children)


@pytest.mark.parametrize(
    ("word", "close"),
    [("layer", "layers"), ("laysers", "layers"), ("alpha", "alpha_reconstruction"), ("x", None), ("", None)],
)
def test_a_slip_or_a_beginning_finds_its_word(word, close):
    assert closest(word, ["heads", "layers", "alpha_reconstruction"]) == close


def test_a_suggestion_is_a_question_at_the_end_of_the_line():
    assert did_you_mean("smaple", ["sample"]) == "Did you mean sample?"
    assert did_you_mean("smell", ["sample"]) is None
    error = MerDataError("no recipe 'smaple'", expected="sample", do=did_you_mean("smaple", ["sample"]))
    assert str(error) == "no recipe 'smaple': expected sample. Did you mean sample?"
