"""A small seed set of ``make fuzz``, and its own accounts: what hangs, crashes or lies is counted as such."""

import sys

import pytest
from click.testing import CliRunner

from fuzz.__main__ import main
from fuzz.runner import STATES, Tally, table, try_kind
from fuzz.worker import KINDS

SEED_SET = {"csd": 12, "pickle": 40, "joblib": 25, "store": 20, "split": 15, "vocabulary": 15}
SLOW_SEED_SET = {"statistics": 12, "run": 12, "resume": 8}  # these import torch


def assert_clean(name, rounds, folder):
    tally = try_kind(name, rounds, 1, folder, seconds=KINDS[name].seconds)
    assert tally.faults == []
    assert tally.counts == {"clean": rounds}


@pytest.mark.parametrize("name", SEED_SET)
def test_damaged_files_are_read_or_refused_in_one_line(name, tmp_path):
    assert_clean(name, SEED_SET[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_SEED_SET)
def test_damaged_statistics_and_runs_are_read_or_refused_in_one_line(name, tmp_path):
    assert_clean(name, SLOW_SEED_SET[name], tmp_path)


WORKER = """
import json, os, sys, time
def tell(number, state, words=""):
    print(json.dumps({"number": number, "state": state, "words": words}), flush=True)
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    if number < 0:
        break
    tell(number, "begins")
    if number == 3:
        time.sleep(60)
    if number == 5:
        os.kill(os.getpid(), 11)
    tell(number, {7: "silent", 8: "traceback"}.get(number, "clean"), "words")
"""


def made_up(name, template, first, last, seed):
    return [sys.executable, "-c", WORKER, str(first), str(last)]


def test_what_hangs_or_crashes_is_counted_and_the_rest_goes_on(tmp_path):
    tally = try_kind("made up", 10, 0, tmp_path, seconds=2, command=made_up)
    assert tally.counts == {"clean": 6, "hang": 1, "crash": 1, "silent": 1, "traceback": 1}
    assert [(number, state) for number, state, _ in tally.faults] == [
        (3, "hang"),
        (5, "crash"),
        (7, "silent"),
        (8, "traceback"),
    ]


def test_sound_files_that_cannot_be_made_are_no_result(tmp_path):
    with pytest.raises(RuntimeError, match="the sound files of broken cannot be made"):
        try_kind(
            "broken",
            1,
            0,
            tmp_path,
            seconds=2,
            command=lambda *_: [sys.executable, "-c", "exit(3)"],
        )


def test_the_table_has_a_row_for_each_kind_and_their_sum():
    first, second = Tally(), Tally()
    first.add(0, "clean", "")
    first.add(1, "hang", "long")
    second.add(0, "silent", "other")
    lines = [line.split() for line in table({"one": first, "two": second})]
    assert lines == [
        ["kind", "tried", *STATES],
        ["one", "2", "1", "0", "0", "1", "0"],
        ["two", "1", "0", "0", "1", "0", "0"],
        ["all", "3", "1", "0", "1", "1", "0"],
    ]


@pytest.mark.parametrize(("faults", "code"), [([], 0), ([(4, "silent", "another result")], 1)])
def test_the_exit_code_says_whether_all_were_clean(monkeypatch, faults, code):
    def tried(name, rounds, *_, **__):
        tally = Tally()
        for number in range(rounds - len(faults)):
            tally.add(number, "clean", "")
        for fault in faults:
            tally.add(*fault)
        return tally

    monkeypatch.setattr("fuzz.__main__.try_kind", tried)
    result = CliRunner().invoke(main, ["--rounds", "40", "--kinds", "store,split"])
    assert result.exit_code == code
    assert "store" in result.stdout
    assert ("--kinds store --only 4 --seed 0" in result.stdout) == bool(faults)
