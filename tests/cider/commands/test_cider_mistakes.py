"""What people mistype: one clear line each, with the word that was meant."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "sampl"), "Did you mean sample?"),
        (("tune", "sampl", "--trials", 1), "Did you mean sample?"),
        (("shift", "sampl"), "Did you mean sample?"),
        (("profile", "sampl"), "Did you mean sample?"),
        (("reproduce", "tabel4"), "Did you mean table4?"),
        (("reproduce", "table4", "--rows", "Cider"), "Did you mean CIDer?"),
        (("reproduce", "table4", "--dataset", "moisi"), "Did you mean mosi?"),
        (("train", "sample", "--set", "model={name: dfl}"), "Did you mean dlf?"),
        (("train", "sample", "--set", "modle.layers=1"), "did you mean model?"),
        (("train", "sample", "--set", "missing.pattern=rmfn"), "did you mean rmfm?"),
        (
            ("train", "sample", "--seed", -1),
            "(seed: Input should be greater than or equal to 0, found -1 (--seed -1))",
        ),
        (("train", "sample", "--seed", 2**64), "(--seed 18446744073709551616)"),
        (("train", "sample", "--seeds", f"1,{2**64}"), "not a list of seeds: found '1,18446744073709551616'"),
        (("train", "sample", "--seeds", "x"), "not a list of seeds: found 'x'"),
        (("evaluate", "x", "--rates", "x"), "not a list of missing rates: found 'x'"),
        (("evaluate", "x", "--mask-seeds", 2**64), "not a list of seeds"),
        (("evaluate", "nosuch"), "no training run in nosuch"),
        (("evaluate", "x", "./x"), "a run is named twice: found x, x. Name every run once."),
        (("reproduce", "table4", "--seeds", "-1"), "not a list of seeds: found '-1'"),
        (
            ("reproduce", "table4", "--rows", "CIDer", "--set", "model.layers=0", "--dry-run"),
            "(--set model.layers=0)",
        ),
        (("tune", "sample", "--trials", 1, "--study", "../x"), "not a name for a study: found '../x'"),
        (("tune", "sample", "--trials", 1, "--study", ""), "not a name for a study: found ''"),
    ],
)
def test_a_mistake_is_one_line(home, cider, fails, arguments, message):
    assert message in fails(cider(*arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "sample", "--trials", 1, "--seed", 2**64), "is not in the range 0<=x<=4294967295."),
        (("tune", "sample", "--trials", 1, "--timeout", "nan"), "nan is not a finite number."),
        (("evaluate", "x", "--resamples", 10**9), "1000000000 is not in the range 100<=x<=100000."),
        (("trian", "sample"), "No such command 'trian'. Did you mean 'train'?"),
    ],
)
def test_a_value_that_an_option_does_not_take(home, cider, arguments, message):
    result = cider(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]


def test_ids_that_are_no_text(home, cider, fails, trained_run, tmp_path):
    store = home / "sample" / "store" / "unaligned.h5"
    (tmp_path / "ids.txt").write_bytes(b"va\xff\xfe")
    line = fails(cider("predict", trained_run, "--store", store, "--ids", tmp_path / "ids.txt"))
    assert "not a list of ids in" in line
    assert "expected UTF-8 text, one id per line" in line
