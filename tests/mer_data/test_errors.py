import pytest

from mer_data import errors
from mer_data.errors import MerDataError, SourceError


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
