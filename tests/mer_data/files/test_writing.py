import hashlib
import json
import os
import subprocess
import sys

import pytest
from builders import files_below
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.errors import StoreError
from mer_data.files.writing import (
    complete_or_absent,
    read_json,
    read_text,
    refuse_overwrite,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)


def test_target_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "folder" / "file.txt"
    with complete_or_absent(target) as partial:
        partial.write_text("whole")
        assert partial.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "whole"
    assert files_below(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_exception(tmp_path, error):
    def interrupted():
        with complete_or_absent(tmp_path / "file.txt") as partial:
            partial.write_text("half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    assert files_below(tmp_path) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")

    def interrupted():
        with complete_or_absent(target) as partial:
            partial.write_text("half")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        interrupted()
    assert target.read_text() == "old"
    write_text(target, "new")
    assert target.read_text() == "new"
    assert files_below(tmp_path) == ["file.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="partial"), complete_or_absent(tmp_path / "file.txt"):
        pass
    assert files_below(tmp_path) == []


def test_a_folder_in_the_way_stays_and_nothing_is_left_beside_it(tmp_path):
    (tmp_path / "target" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="target"):
        write_text(tmp_path / "target", "text")
    assert (tmp_path / "target" / "inner").is_dir()
    assert files_below(tmp_path) == []


def test_partial_name_is_of_this_process(tmp_path):
    with complete_or_absent(tmp_path / "file.txt") as partial:
        partial.write_text("")
        assert str(os.getpid()) in partial.name
        assert partial.name.startswith(".")


def test_what_a_killed_process_left_is_removed_and_a_living_ones_file_is_not(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from mer_data.files.writing import complete_or_absent\n"
        "with complete_or_absent(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file.txt")], check=False)
    assert killed.returncode == 9
    assert len(files_below(tmp_path)) == 1
    write_text(tmp_path / "other.txt", "")
    assert len(files_below(tmp_path)) == 2
    with complete_or_absent(tmp_path / "file.txt") as mine:
        mine.write_text("mine")
        write_text(tmp_path / "file.txt", "theirs")
        assert files_below(tmp_path) == sorted([mine.name, "file.txt", "other.txt"])
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_text_is_utf8_with_unix_line_ends(tmp_path):
    write_text(tmp_path / "t", "é\nß")
    assert (tmp_path / "t").read_bytes() == "é\nß".encode()


def test_equal_json_gives_equal_readable_bytes(tmp_path):
    value = {"b": [1, 2.5, None], "a": {"ü": "x"}}
    write_json(tmp_path / "one", value)
    write_json(tmp_path / "two", json.loads((tmp_path / "one").read_text(encoding="utf-8")))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    text = (tmp_path / "one").read_text(encoding="utf-8")
    assert "ü" in text
    assert text.endswith("}\n")
    assert text.splitlines()[1].startswith('  "b"')


def test_json_refuses_what_json_cannot_say_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "bad.json", {"x": float("nan")})
    assert files_below(tmp_path) == []


def test_existing_file_is_refused_without_force(tmp_path):
    target = tmp_path / "file"
    refuse_overwrite(target, force=False, error=StoreError)
    target.write_text("")
    with pytest.raises(StoreError, match=r"file exists already\. Pass --force"):
        refuse_overwrite(target, force=False, error=StoreError)
    refuse_overwrite(target, force=True, error=StoreError)


def test_digests_are_sha256_of_the_bytes(tmp_path):
    content = os.urandom((1 << 20) + 17)  # more than one piece is read
    (tmp_path / "f").write_bytes(content)
    assert sha256_file(tmp_path / "f") == "sha256:" + hashlib.sha256(content).hexdigest()
    assert sha256_text("ä") == "sha256:" + hashlib.sha256("ä".encode()).hexdigest()


def test_a_path_that_is_no_text_is_written_as_an_escape_that_json_reads_back(tmp_path):
    path = os.fsdecode(b"/data/caf\xe9")
    write_json(tmp_path / "a.json", {"path": path, "name": "é"})
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert "\\udce9" in text
    assert json.loads(text) == {"path": path, "name": "é"}


# --- text and JSON of others ---


def test_a_byte_order_mark_is_not_part_of_a_text(tmp_path):
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfhello")
    assert read_text(tmp_path / "x") == "hello"
    (tmp_path / "x").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    assert read_json(tmp_path / "x") == {"a": 1}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON_VALUES)
@settings(max_examples=100)
def test_what_is_written_is_read_again(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "x.json"
    write_json(path, value)
    assert read_json(path) == value
    path.write_text(json.dumps(value), encoding="utf-8")  # with escapes
    assert read_json(path) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ('{"\\uDFFF": 1}', "half of a surrogate pair"),
        ("[" + "9" * 5000 + "]", "a number beyond 64 bits"),
        (f"[{2**64}]", "a number beyond 64 bits"),
        ("[1e999]", "a number that is not finite"),
        ("[NaN]", "a number that is not finite"),
        ("[-Infinity]", "a number that is not finite"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        ("{", "Expecting property name"),
        (b"\xff\xfe{\x00}\x00", "can't decode byte"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_json_that_cannot_be_right_is_told(tmp_path, content, message):
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_json(path)
