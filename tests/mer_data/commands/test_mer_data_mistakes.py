"""What people mistype: one clear line each, with the word that was meant."""

import pytest

from mer_data.errors import SplitError
from mer_data.splits.published import load_published
from mer_data.workspace import Workspace


@pytest.mark.parametrize("command", ["sources", "cite", "download"])
def test_a_slip_in_a_dataset(refuse, command):
    line = refuse(command, "sampel")
    assert "unknown dataset: found 'sampel', expected mosei or mosi or sample. Did you mean sample?" in line


def test_a_slip_in_the_dataset_of_a_build(refuse):
    assert "Did you mean mosi?" in refuse("build", "--dataset", "moisi")


def test_another_dataset_is_one_to_describe(refuse):
    assert "Describe a corpus of your own with `mer-data new-source theirs`" in refuse("sources", "theirs")


def test_a_slip_in_a_collection(refuse):
    assert "no collection 'mmss' of mosi: expected sdk, mmsa" in (
        line := refuse("cite", "mosi", "--also", "mmss")
    )
    assert line.endswith("Did you mean mmsa?\n")


def test_a_slip_in_what_to_download(refuse):
    assert refuse("download", "mosi", "--only", "audoi").endswith("Did you mean audio?\n")


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (("standard-split", "--alignment", "unaligne"), "Did you mean unaligned? Make it with"),
        (("statistics", "--split", "standrd"), "Did you mean standard? Make it with"),
        (("statistics", "--dataset", "sampel"), "no store of sampel in"),
        (("statistics", "--dataset", "sampel"), "Did you mean sample? Make it with"),
        (("repartition", "--from-manifest", "nosuch"), "no published split 'nosuch' of sample: found none"),
    ],
)
def test_a_slip_in_a_name_of_the_workspace(put_split, refuse, options, meant):
    assert meant in refuse(*options)


def test_a_slip_in_a_feature_set(invoke, refuse):
    invoke("sample")
    assert "no audio set 'tne'" in (line := refuse("build", "--dataset", "sample", "--audio", "tne"))
    assert line.endswith("Did you mean tone?\n")


def test_a_slip_in_a_published_split():
    with pytest.raises(SplitError, match=r"no published split .*Did you mean ood_binary_seed0\?$"):
        load_published("mosi", "ood_binari_seed0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("sample", "--seed", "-1"), "-1 is not in the range 0<=x<=4294967295."),
        (("sample", "--seed", 2**64), "18446744073709551616 is not in the range 0<=x<=4294967295."),
        (("build", "--dataset", "sample", "--workers", 100_000), "100000 is not in the range 1<=x<=256."),
        (("build", "--dataset", "sample", "--workers", 0), "0 is not in the range 1<=x<=256."),
        (("download", "mosi", "--workers", 100_000), "100000 is not in the range 1<=x<=256."),
        (("download", "mosi", "--attempts", 10**6), "1000000 is not in the range 1<=x<=1000."),
        (("download", "mosi", "--timeout", "nan"), "nan is not a finite number."),
        (("download", "mosi", "--timeout", "inf"), "inf is not in the range 0<x<=100000."),
        (("download", "mosi", "--timeout", 0), "0.0 is not in the range 0<x<=100000."),
        (("report", "--seeds", "x"), "'x' is not a list of numbers with commas between them."),
        (("repartition", "--sizes", "a,b"), "'a,b' is not a list of numbers with commas between them."),
        (("statistics", "--task", "x"), "'x' is not one of 'binary', 'seven'."),
        (("buidl",), "No such command 'buidl'. Did you mean 'build'?"),
        (("sample", "--sed", 1), "No such option '--sed'"),
    ],
)
def test_a_value_that_an_option_does_not_take(misuse, options, message):
    assert message in misuse(*options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seed", 2**64), "too large a seed: found 18446744073709551616"),
        (("--restarts", 10**8), "too many restarts: found 100000000"),
        (("--severity", "nan"), "impossible severity: found nan"),
        (("--smoothing", "inf"), "impossible smoothing: found inf"),
    ],
)
def test_a_search_without_end_is_refused(put_store, refuse, options, message):
    put_store()
    assert message in refuse("repartition", *options)
    assert not Workspace("sample").split_path("x").parent.exists()
