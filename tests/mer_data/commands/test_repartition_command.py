import json

import pytest

from mer_data.splits import SplitManifest
from mer_data.workspace import Workspace

QUICK = ("--min-count", 3)


def split_path(name="ood_binary_seed0"):
    return Workspace("sample").split_path(name)


def test_makes_an_ood_split(invoke, put_store):
    put_store()
    output = invoke("repartition", *QUICK).splitlines()
    split = SplitManifest.load(split_path())
    assert (split.kind, split.task) == ("ood", "binary")
    assert split.generator["min_count"] == 3
    bits = split.shift["word_label_divergence_bits"]
    assert output[0].startswith(" / ".join(str(len(ids)) for ids in split.splits.values()))
    assert f"{bits['this_split']:.4f} bits" in output[1]
    assert output[2] == f"Cite it as {split.digest}."
    assert output[3] == "Next: mer-data statistics --dataset sample --split ood_binary_seed0"


def test_options_reach_the_search_and_the_name(invoke, put_store):
    put_store()
    options = {"seed": 4, "min_count": 2, "smoothing": 0.5, "label_tolerance": 0.1, "excess_bits": 0.5}
    invoke("repartition", *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()))
    generator = SplitManifest.load(split_path("ood_binary_seed4")).generator
    assert {name: generator[name] for name in options} == options


def test_json(invoke, put_store):
    put_store()
    result = json.loads(invoke("repartition", *QUICK, "--json"))
    assert result["split"] == str(split_path())
    assert result["digest"] == SplitManifest.load(split_path()).digest
    assert result["shift"]["num_words"] > 0


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(invoke, put_store):
    put_store()
    invoke("repartition", *QUICK)
    first = split_path().read_bytes()
    invoke("repartition", *QUICK, "--force")
    assert split_path().read_bytes() == first
    put_store("aligned")  # the split depends on words and labels alone
    invoke("repartition", *QUICK, "--force")
    assert split_path().read_bytes() == first
    invoke("repartition", *QUICK, "--seed", 1)
    assert split_path("ood_binary_seed1").read_bytes() != first


def test_an_existing_split_needs_force(invoke, refuse, put_store):
    put_store()
    invoke("repartition", *QUICK)
    assert "ood_binary_seed0.json exists already. Pass --force" in refuse("repartition", *QUICK)


def test_out(invoke, put_store, tmp_path):
    put_store()
    output = invoke("repartition", *QUICK, "--out", tmp_path / "mine.json")
    assert SplitManifest.load(tmp_path / "mine.json")
    assert not split_path().exists()
    assert output.splitlines()[-1].endswith(f"--split {tmp_path / 'mine.json'}")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--seed", -1, "negative seed: found -1, expected 0 or more."),
        ("--min-count", 0, "min_count is too small"),
        ("--min-count", 1000, "no word is frequent enough"),
        ("--smoothing", "nan", "impossible smoothing"),
        ("--label-tolerance", 2, "label_tolerance is no share"),
        ("--excess-bits", -1, "negative excess_bits"),
    ],
)
def test_impossible_parameters(refuse, put_store, option, value, message):
    put_store()
    assert message in refuse("repartition", option, value)


def test_bad_options(misuse, put_store):
    put_store()
    assert "'three' is not one of 'binary', 'seven'" in misuse("repartition", "--task", "three")
    assert "Invalid value for '--seed'" in misuse("repartition", "--seed", "first")


def test_without_a_store_the_command_that_makes_one_is_named(refuse):
    assert "`mer-data build --dataset mosi`" in refuse("repartition")


def test_stores_of_two_corpora_under_one_name_need_a_choice(invoke, refuse, put_store):
    from exact_stores import write_store

    put_store()
    write_store(Workspace("sample").store_path("other"), ["a b"])
    assert "several stores of sample" in (message := refuse("repartition", *QUICK))
    assert "found other, unaligned. Choose one with --alignment NAME." in message
    invoke("repartition", *QUICK, "--alignment", "unaligned")
