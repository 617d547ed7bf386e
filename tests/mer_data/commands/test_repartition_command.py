"""``mer-data repartition``."""

import json
from dataclasses import replace

import numpy as np
import pytest
from exact_stores import write_store

from mer_data.splits import SplitManifest
from mer_data.splits.shift.measure import deviations_above_random
from mer_data.workspace import Workspace

TINY = ("--min-count", 3, "--label-tolerance", 0.1)
"""What 48 utterances need: one of 12 in test is more than two per cent."""


def split_path(name="ood_binary_seed0"):
    return Workspace("sample").split_path(name)


def split_names():
    return sorted(path.stem for path in split_path().parent.glob("*"))


def test_makes_an_ood_split(invoke, put_store):
    put_store()
    output = invoke("repartition", *TINY).splitlines()
    split = SplitManifest.load(split_path())
    assert (split.kind, split.task, split.dataset) == ("ood", "binary", "sample")
    bits, probe = split.shift["word_label_divergence_bits"], split.shift["text_probe"]
    sizes = " / ".join(str(len(ids)) for ids in split.splits.values())
    above = (bits["this_split"] - bits["random_mean"]) / bits["random_std"]
    assert output == [
        f"{sizes} (train / valid / test) in {split_path()}.",
        f"Word-to-label divergence {bits['this_split']:.4f} bits"
        f" (standard folds {bits['standard_folds']:.4f}, random {bits['random_mean']:.4f};"
        f" {above:.0f} standard deviations above random).",
        f"A bag of words has Acc2 {probe['test']:.1%} on test (standard folds {probe['standard_folds']:.1%},"
        f" random {probe['random_mean']:.1%}).",
        f"Cite it as {split.digest}.",
        "Next: mer-data statistics --dataset sample --split ood_binary_seed0",
    ]


def test_options_reach_the_search_and_the_name(invoke, put_store):
    put_store()
    options = {
        "seed": 4,
        "severity": 0.3,
        "min_count": 2,
        "smoothing": 0.5,
        "label_tolerance": 0.25,
        "restarts": 3,
        "keep_valid": "ood",
        "sizes": "20,6,10",
    }
    invoke("repartition", *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()))
    generator = SplitManifest.load(split_path("ood_binary_oodvalid_severity0.3_seed4")).generator
    assert generator == {
        **options,
        "name": "repartition",
        "sizes": [20, 6, 10],
        "group_by": "utterance",
        "steps_per_utterance": 40,
    }


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--seed", 2], "ood_binary_seed2"),
        (["--task", "seven", "--label-tolerance", 0.3], "ood_seven_seed0"),
        (["--severity", 1], "ood_binary_severity1_seed0"),
        (["--keep-valid", "ood"], "ood_binary_oodvalid_seed0"),
    ],
)
def test_names_of_files(invoke, put_store, arguments, name):
    put_store()
    output = invoke("repartition", *TINY, *arguments)
    assert split_names() == [name]
    assert output.splitlines()[-1] == f"Next: mer-data statistics --dataset sample --split {name}"


def put_films(number=60):
    """A store of the first ``number`` of 60 made-up utterances, each a video of its own."""
    texts = [f"good film w{i % 5}" if i % 2 else f"bad film w{i % 7}" for i in range(60)]
    labels = np.where(np.arange(60) % 3, np.arange(60) % 2 * 2 - 1, 0)
    folds = ["train"] * 36 + ["valid"] * 12 + ["test"] * 12
    path = Workspace("sample").store_path("unaligned")
    path.unlink(missing_ok=True)
    write_store(path, texts[:number], labels[:number], folds=folds[:number], known=texts)


def test_whole_videos(invoke):
    put_films()
    output = invoke("repartition", *TINY, "--group-by", "video")
    split = SplitManifest.load(split_path("ood_binary_video_seed0"))
    assert output.startswith("36 / 12 / 12 (train / valid / test)")
    assert (split.generator["group_by"], split.generator["severity"]) == ("video", 1.0)
    assert split.shift["videos"] == {"num_test": 12, "num_test_in_train_or_valid": 0}


def test_json(invoke, put_store):
    put_store()
    result = json.loads(invoke("repartition", *TINY, "--json"))
    split = SplitManifest.load(split_path())
    assert result == {
        "split": str(split_path()),
        "digest": split.digest,
        "sizes": {fold: len(ids) for fold, ids in split.splits.items()},
        "missing": [],
        "deviations_above_random": deviations_above_random(split.shift),
        "shift": split.shift,
    }


def test_a_series_is_one_split_for_each_severity(invoke, put_store):
    put_store()
    output = invoke("repartition", *TINY, "--series", "0,0.5,1").splitlines()
    names = [f"ood_binary_severity{level}_seed0" for level in ("0", "0.5", "1")]
    assert split_names() == sorted(names)
    splits = [SplitManifest.load(split_path(name)) for name in names]
    bits = [split.shift["word_label_divergence_bits"]["this_split"] for split in splits]
    assert bits == sorted(set(bits))
    assert [split.generator["severity"] for split in splits] == [0.0, 0.5, 1.0]
    assert [line for line in output if line.startswith("Cite it as")] == [
        f"Cite it as {split.digest}." for split in splits
    ]
    assert output[-1].endswith("--split ood_binary_severity1_seed0")
    single = json.loads(invoke("repartition", *TINY, "--severity", 0.5, "--force", "--json"))
    assert single["digest"] == splits[1].digest


def test_a_series_in_a_folder_as_json(invoke, put_store, tmp_path):
    put_store()
    result = json.loads(
        invoke("repartition", *TINY, "--series", "0.25,1", "--out", tmp_path / "mine", "--json")
    )
    paths = [tmp_path / "mine" / f"ood_binary_severity{level}_seed0.json" for level in ("0.25", "1")]
    assert [entry["split"] for entry in result["series"]] == [str(path) for path in paths]
    assert [entry["digest"] for entry in result["series"]] == [
        SplitManifest.load(path).digest for path in paths
    ]
    assert not split_path().parent.exists()


def test_an_existing_level_of_a_series_needs_force(invoke, refuse, put_store):
    put_store()
    invoke("repartition", *TINY, "--severity", 1)
    message = refuse("repartition", *TINY, "--series", "0,1")
    assert "ood_binary_severity1_seed0.json exists already. Pass --force" in message
    invoke("repartition", *TINY, "--series", "0,1", "--force")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(invoke, put_store):
    put_store()
    invoke("repartition", *TINY)
    first = split_path().read_bytes()
    put_store("aligned")  # the split depends on words and labels alone
    invoke("repartition", *TINY, "--force")
    assert split_path().read_bytes() == first
    invoke("repartition", *TINY, "--seed", 1)
    assert split_path("ood_binary_seed1").read_bytes() != first


def test_an_existing_split_needs_force(invoke, refuse, put_store):
    put_store()
    invoke("repartition", *TINY)
    assert "ood_binary_seed0.json exists already. Pass --force" in refuse("repartition", *TINY)


def test_out(invoke, put_store, tmp_path):
    put_store()
    output = invoke("repartition", *TINY, "--out", tmp_path / "mine.json")
    assert SplitManifest.load(tmp_path / "mine.json")
    assert not split_path().exists()
    assert output.splitlines()[-1].endswith(f"--split {tmp_path / 'mine.json'}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", -1], "negative seed: found -1, expected 0 or more."),
        (["--severity", 1.5], "impossible severity: found 1.5, expected 0 (random) to 1 (strongest)."),
        (["--series", "0,2"], "impossible severity: found 2.0"),
        (["--series", "0.5,0.5"], "two severities of the series are the same to four decimals"),
        (["--series", "0.5,0.50001"], "to four decimals: found 0.5, 0.50001. Leave one of them out."),
        (["--series", "0,1", "--severity", 1], "--severity and --series were both given. Give one of them."),
        (["--min-count", 0], "min_count is too small"),
        (["--min-count", 1000], "no word is frequent enough"),
        (["--smoothing", "nan"], "impossible smoothing"),
        (["--label-tolerance", 2], "label_tolerance is no share"),
        (["--label-tolerance", 0], "label tolerance cannot be met"),
        (["--sizes", "10,10"], "impossible sizes: found (10, 10), expected three numbers"),
        (
            ["--sizes", "100,10,10"],
            "sizes are larger than the corpus: found 120 utterances asked for, expected",
        ),
        (["--restarts", 0], "too few restarts"),
        (["--task", "seven"], "Raise --label-tolerance to"),
        (["--group-by", "video", "--label-tolerance", 0], "found no choice of whole videos"),
    ],
)
def test_impossible_requests_are_one_line(refuse, put_store, arguments, message):
    put_store()
    assert message in refuse("repartition", "--min-count", 3, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "three"], "'three' is not one of 'binary', 'seven'"),
        (["--group-by", "speaker"], "'speaker' is not one of 'utterance', 'video'"),
        (["--keep-valid", "both"], "'both' is not one of 'iid', 'ood'"),
        (["--seed", "first"], "Invalid value for '--seed'"),
        (["--series", "0,high"], "'0,high' is not a list of numbers with commas between them"),
        (["--series", ""], "'' is not a list of numbers"),
        (["--sizes", "1.5,2,3"], "'1.5,2,3' is not a list of numbers"),
    ],
)
def test_bad_options(misuse, put_store, arguments, message):
    put_store()
    assert message in misuse("repartition", *arguments)


def test_without_a_store_the_command_that_makes_one_is_named(refuse):
    assert "`mer-data build --dataset mosi`" in refuse("repartition")


def test_stores_of_two_corpora_under_one_name_need_a_choice(invoke, refuse, put_store):
    put_store()
    write_store(Workspace("sample").store_path("other"), ["a b"])
    assert "several stores of sample" in (message := refuse("repartition", *TINY))
    assert "found other, unaligned. Choose one with --alignment NAME." in message
    invoke("repartition", *TINY, "--alignment", "unaligned")


@pytest.fixture
def published(invoke, monkeypatch, tmp_path):
    """The path of a published split of 60 utterances; the store that it was made from is in the workspace."""
    put_films()
    path = tmp_path / "published" / "ood_binary_seed0.json"
    invoke("repartition", *TINY, "--out", path)
    monkeypatch.setattr("mer_data.splits.published.published_folder", lambda dataset: path.parent)
    return path


def test_a_published_split_is_taken_as_it_is(invoke, refuse, published):
    output = invoke("repartition", "--from-manifest", "ood_binary_seed0")
    assert split_path().read_bytes() == published.read_bytes()
    assert output.splitlines()[-1] == "Next: mer-data statistics --dataset sample --split ood_binary_seed0"
    assert "exists already. Pass --force" in refuse("repartition", "--from-manifest", "ood_binary_seed0")
    assert "no published split 'other' of sample: found ood_binary_seed0." in refuse(
        "repartition", "--from-manifest", "other"
    )


def test_a_store_without_some_utterances_is_told_which(invoke, published, tmp_path):
    put_films(58)
    output = invoke("repartition", "--from-manifest", published, "--out", tmp_path / "mine.json").splitlines()
    assert "2 utterances of the manifest are not in the store: v058$_$1, v059$_$1." in output
    split = SplitManifest.load(tmp_path / "mine.json")
    assert [(drop.id, drop.reason) for drop in split.dropped] == [
        ("v058$_$1", "not in the store"),
        ("v059$_$1", "not in the store"),
    ]
    assert split.generator["manifest"] == SplitManifest.load(published).digest
    result = json.loads(invoke("repartition", "--from-manifest", published, "--json"))
    assert result["missing"] == ["v058$_$1", "v059$_$1"]


def test_of_a_store_with_hardly_any_text_no_divergence_is_told(invoke, published):
    ids = [f"v{i:03d}$_$1" for i in range(60)]
    manifest = SplitManifest.load(published)
    splits = {"train": tuple(ids[:2]), "valid": tuple(ids[2:3]), "test": tuple(ids[3:])}
    replace(manifest, splits=splits, shift={"min_count": 10}).save(published)
    put_films(5)
    output = invoke("repartition", "--from-manifest", "ood_binary_seed0").splitlines()
    assert output[0].startswith("2 / 1 / 2 (train / valid / test)")
    assert not [line for line in output if "divergence" in line]
    missing = [
        line for line in output if line.startswith("55 utterances of the manifest are not in the store: ")
    ]
    assert missing[0].count("$_$") == 10  # some are named, the manifest lists them all


def test_another_corpus_is_refused(refuse, published):
    value = json.loads(published.read_text())
    published.write_text(json.dumps({**value, "dataset": "mosi"}))
    message = refuse("repartition", "--from-manifest", published)
    assert "the manifest is of another corpus" in message
    assert "found mosi, expected sample" in message


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--seed", 0], "--seed"),
        (["--severity", 1, "--task", "binary"], "--severity, --task"),
        (["--series", "0,1"], "--series"),
        (["--label-tolerance", 0.1], "--label-tolerance"),
    ],
)
def test_a_published_split_cannot_be_changed(refuse, published, arguments, named):
    message = refuse("repartition", "--from-manifest", "ood_binary_seed0", *arguments)
    assert f"{named} cannot change the published split 'ood_binary_seed0'" in message
