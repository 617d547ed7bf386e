"""YAML is read within limits and told with its lines; what is written reads back the same."""

import contextlib
import math
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mer_data.errors import SourceError
from mer_data.files.yaml_files import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    YamlError,
    parse_yaml,
    read_yaml,
    to_yaml,
)


def content(text):
    return parse_yaml(text).content


def refuse(match, text):
    with pytest.raises(YamlError, match=match) as info:
        parse_yaml(text)
    assert "\n" not in str(info.value)


# --- values ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("+4", 4),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5e-4", 0.0005),
        ("1E3", 1000.0),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("[a, 'b', \"c\"]", ["a", "b", "c"]),
        ("'12'", "12"),
    ],
)
def test_plain_values_are_those_of_the_core_schema(text, value):
    found = content(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number():
    assert math.isnan(content(".nan"))


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "2026-11-27", "2026-13-45", "2026-11-27T25:00:00Z", "1:30", "1_000", "0b1"],
)
def test_what_older_yaml_takes_for_something_else_stays_a_text(text):
    assert content(text) == text


def test_a_mark_of_excel_at_the_beginning_is_no_part_of_the_first_key(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: mine\r\nseed: 1\r\n")
    assert read_yaml(path, "recipe", SourceError).content == {"name": "mine", "seed": 1}


def test_an_alias_is_a_copy():
    read = content("a: &a {x: 1}\nb: *a")
    read["a"]["x"] = 2
    assert read["b"] == {"x": 1}


# --- lines ---


def test_every_value_has_its_line():
    document = parse_yaml("a: 1\nb:\n  c: [1,\n    2]\n  d: x\n")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 3,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
        ("b", "d"): 5,
    }


def test_a_value_that_is_not_there_has_the_line_of_its_group():
    document = parse_yaml("a: 1\nb:\n  c: 1\n")
    assert document.line(("b", "x", 0)) == 3
    assert document.line(("x",)) is None
    assert document.line(()) is None


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: !!python/name:os.system x", r"column 4: the tag !!python/name:os\.system is not read"),
        ("a: 1\nb: !!python/object/apply:os.system [x]", "line 2, column 4: the tag !!python/object/apply"),
        ("a: !!timestamp 2001-01-01", "the tag !!timestamp is not read"),
        ("a: !own x", "the tag !own is not read"),
        ("a: ! x", "the tag ! is not read"),
        ("a: &a [*a]", "an alias stands within what it names"),
        ("a: *b", "found undefined alias 'b'"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands twice"),
        ("1: x", "the key '1' is no text, put quotes around it"),
        ("? [a]\n: b", "line 1: the key that is a list or mapping is no text"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: [1", "column 6: while parsing a flow sequence"),
        ("a: 1\nb: \x00", r"line 2: the character U\+0000 is not allowed"),
        ('a: "\\ud800"', "half of a surrogate pair"),
        ("a: " + "9" * 5000, "a number of 5000 digits"),
        ("a: 0x" + "f" * 5000, "a number of 5002 digits"),
        ("--- a\n--- b", "line 2, column 1: expected a single document"),
    ],
)
def test_what_is_no_plain_yaml_is_one_line(text, match):
    refuse(match, text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "{a: " * 50_000, "\n".join(" " * n + "a:" for n in range(500))]
)
def test_depth_is_bounded_and_soon(text):
    start = time.monotonic()
    refuse(f"more than {MAX_DEPTH} levels", text)
    assert time.monotonic() - start < 5


def test_the_greatest_depth_is_read():
    assert content("[" * MAX_DEPTH + "]" * MAX_DEPTH)


@pytest.mark.parametrize("text", ["[" + "1," * MAX_VALUES + "]", "- 1\n" * MAX_VALUES])
def test_the_number_of_values_is_bounded(text):
    refuse(f"more than {MAX_VALUES} values", text)


def test_aliases_count_as_often_as_they_are_used():
    """A billion laughs: nine levels of ten aliases each."""
    levels = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    levels += [
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    start = time.monotonic()
    refuse(f"more than {MAX_VALUES} values, with those of its aliases", "\n".join(levels))
    assert time.monotonic() - start < 5


def test_aliases_cannot_stack_depth():
    chain = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 30)]
    refuse(f"more than {MAX_DEPTH} levels, with those of its aliases", "\n".join(chain))


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.yaml"
    with path.open("wb") as handle:
        handle.truncate(1 << 40)  # sparse: a terabyte that nobody could read
    with pytest.raises(
        SourceError, match=rf"the recipe is too large in .*huge\.yaml: expected at most {MAX_BYTES}"
    ):
        read_yaml(path, "recipe", SourceError)


def test_a_file_that_is_not_utf_8_is_told(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(SourceError, match=r"cannot read the recipe \(byte 9 is not UTF-8\) in .*a\.yaml"):
        read_yaml(path, "recipe", SourceError)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(
        SourceError, match=r"cannot read the table \(No such file or directory\) in .*a\.yaml"
    ):
        read_yaml(tmp_path / "a.yaml", "table", SourceError)


@given(st.text(alphabet="ab:-[]{},&*!#|>'\"\n 01.~?@`%\t", max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(YamlError):
        parse_yaml(text)


# --- writing ---

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "5e-4",
        "1e3",
        "010",
        "0o7",
        "no",
        "on",
        "~",
        "",
        "null",
        "2026-11-27",
        "1:30",
        "1_000",
        "-",
        "0x1F",
        "=",
        "<<",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_reads_back_the_same_here_and_elsewhere(value):
    text = to_yaml(value)
    assert content(text) == value
    assert yaml.safe_load(text) == value


def test_equal_lists_are_written_out_and_not_as_aliases():
    rates = [0.0, 0.5]
    assert "*" not in to_yaml({"a": rates, "b": rates})
