"""``mer-data inspect``."""

import json


def test_a_store_for_people_and_for_programs(invoke, sample_stores):
    text = invoke("inspect", sample_stores["unaligned"])
    assert text.startswith("sample, unaligned: 48 utterances of 8 videos, 0:0")
    value = json.loads(invoke("inspect", sample_stores["unaligned"], "--json"))
    assert (value["kind"], value["num_utterances"]) == ("store", 48)


def test_an_utterance_for_people_and_for_programs(invoke, sample_stores):
    arguments = ("inspect", sample_stores["unaligned"], "--utterance", "sample001$_$2")
    assert invoke(*arguments).startswith("sample001$_$2: label ")
    assert json.loads(invoke(*arguments, "--json"))["id"] == "sample001$_$2"


def test_an_unknown_utterance_is_one_line_with_the_nearest(refuse, sample_stores):
    message = refuse("inspect", sample_stores["unaligned"], "--utterance", "sample001$_$9")
    assert "The nearest are sample001$_$6, sample001$_$5, sample001$_$4." in message


def test_an_unknown_path_is_one_line(refuse, tmp_path):
    assert "is not there" in refuse("inspect", tmp_path / "absent.h5")


def test_an_utterance_of_what_is_no_store_is_one_line(refuse, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    assert "the store is not an HDF5 file" in refuse("inspect", tmp_path / "x.json", "--utterance", "a$_$1")
