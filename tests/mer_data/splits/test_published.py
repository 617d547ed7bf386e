"""Published manifests: all that are there are sound, and any store of the corpus can take them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mer_data.errors import SplitError
from mer_data.splits import RepartitionSettings, SplitManifest
from mer_data.splits.defaults import default_of
from mer_data.splits.published import (
    apply_manifest,
    load_published,
    missing_utterances,
    published_folder,
    published_names,
    split_name,
)
from mer_data.splits.shift.measure import ShiftMeter
from mer_data.tasks import TASKS

FOLDER = published_folder("mosi").parent
DATASETS = sorted(path.name for path in FOLDER.iterdir()) if FOLDER.is_dir() else []
PUBLISHED = [(dataset, name) for dataset in DATASETS for name in published_names(dataset)]


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no split is published")
def test_cmu_mosi_is_among_the_published_corpora():
    assert "mosi" in DATASETS


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_folder_of_published_splits_holds_some(dataset):
    names = published_names(dataset)
    assert len(names) > 0
    assert [path.name for path in sorted(published_folder(dataset).iterdir())] == [f"{n}.json" for n in names]
    for task in TASKS:
        assert f"ood_{task}_seed0" in names


@pytest.mark.parametrize(("dataset", "name"), PUBLISHED)
def test_every_published_split_is_canonical_and_named_after_its_parameters(dataset, name, tmp_path):
    path = published_folder(dataset) / f"{name}.json"
    manifest = load_published(dataset, name)
    manifest.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert (manifest.dataset, manifest.kind) == (dataset, "ood")
    assert manifest.generator["name"] == "repartition"
    settings = RepartitionSettings.from_recorded(manifest.generator)
    task = TASKS[manifest.task]
    default = replace(settings, severity=None).severity_for(dataset, task)
    chosen = None if settings.severity == default else settings.severity
    names = {split_name(dataset, task, settings, severity) for severity in (chosen, settings.severity)}
    assert name in names
    assert manifest.shift["task"] == manifest.task
    assert manifest.shift["max_label_share_deviation"] <= settings.label_tolerance
    if settings.group_by == "video":
        assert manifest.shift["videos"]["num_test_in_train_or_valid"] == 0
        assert manifest.shift["random_units"] == "video"
    assert all(re.fullmatch(r"\S+\$_\$\d+", one) for ids in manifest.splits.values() for one in ids)


@pytest.mark.parametrize(("dataset", "name"), PUBLISHED)
def test_published_splits_of_one_task_have_the_same_utterances(dataset, name):
    def utterances(manifest):
        return sorted(one for ids in manifest.splits.values() for one in ids)

    manifest = load_published(dataset, name)
    default = load_published(dataset, f"ood_{manifest.task}_seed0")
    assert utterances(manifest) == utterances(default)
    assert manifest.utterance_digest == default.utterance_digest


@pytest.mark.parametrize(
    ("dataset", "options", "severity", "expected"),
    [
        ("mosi", {}, None, "ood_binary_seed0"),
        ("mosi", {"seed": 3}, 0.0, "ood_binary_severity0_seed3"),
        ("mosi", {}, 1.0, "ood_binary_severity1_seed0"),
        ("mosi", {}, 0.25, "ood_binary_severity0.25_seed0"),
        ("mosi", {"group_by": "utterance"}, None, "ood_binary_seed0"),
        (
            "mosi",
            {"group_by": "video", "keep_valid": "ood"},
            0.5,
            "ood_binary_video_oodvalid_severity0.5_seed0",
        ),
        ("mosei", {}, None, "ood_binary_seed0"),
        ("mosei", {"group_by": "video"}, None, "ood_binary_seed0"),
        ("mosei", {"group_by": "utterance"}, 0.5, "ood_binary_utterance_severity0.5_seed0"),
    ],
)
def test_names_say_what_is_not_the_corpus_s_default(dataset, options, severity, expected):
    assert split_name(dataset, TASKS["binary"], RepartitionSettings(**options), severity) == expected


def test_the_defaults_are_named_by_the_command():
    from mer_data.commands.repartition import repartition

    (told,) = (option.help for option in repartition.params if option.name == "severity")
    for dataset, name in (("mosi", "CMU-MOSI"), ("mosei", "CMU-MOSEI")):
        levels = []
        for task in TASKS:
            default = default_of(dataset, task)
            levels.append(f"{default.severity[default.group_by]:g} for {task}")
        assert f"on {name} {' and '.join(levels)}" in told


@pytest.fixture
def split(corpus, ood):
    corpus.loc[7, "fold"] = "none"
    return ood(corpus)


def test_the_store_that_a_split_was_made_from_takes_it_as_it_is(corpus, split):
    assert apply_manifest(split, corpus, utterance_digest="sha256:1") is split


def test_what_a_store_lacks_or_adds_is_dropped_with_the_reason(corpus, split):
    lacks = [split.splits["train"][0], split.splits["test"][3], split.splits["test"][4]]
    other = corpus[~corpus["id"].isin(lacks)].copy()
    other.loc[300] = {**corpus.loc[0], "id": "new$_$1", "video_id": "new"}
    applied = apply_manifest(split, other, utterance_digest="sha256:2")
    for fold, ids in split.splits.items():
        assert applied.splits[fold] == tuple(name for name in ids if name not in lacks)
    assert {drop.id: drop.reason for drop in applied.dropped} == {
        **dict.fromkeys(lacks, "not in the store"),
        "new$_$1": "not in the published manifest",
        corpus["id"][7]: "in no standard fold",
    }
    assert missing_utterances(applied) == sorted(lacks)
    assert applied.utterance_digest == "sha256:2"
    assert applied.generator == {
        "name": "applied",
        "manifest": split.digest,
        "utterance_digest": split.utterance_digest,
        "made_by": split.generator,
    }
    assert (applied.task, applied.kind, applied.dataset) == (split.task, split.kind, split.dataset)


def test_the_shift_is_measured_on_the_texts_of_the_store(corpus, split):
    other = corpus.assign(text=[f"{text} INDEED" for text in corpus["text"]])
    applied = apply_manifest(split, other, utterance_digest="sha256:2")
    assert applied.splits == split.splits
    pool = other[other["fold"] != "none"].reset_index(drop=True)
    fold_of = {name: fold for fold, ids in split.splits.items() for name in ids}
    meter = ShiftMeter(pool, TASKS["binary"], min_count=10, smoothing=1.0)
    assert applied.shift == meter.measure(pool["id"].map(fold_of).to_numpy(dtype=str))
    assert applied.shift["num_words"] == split.shift["num_words"] + 1
    assert applied.shift != split.shift


def test_validation_that_was_shifted_is_measured_with_test_again(corpus, ood):
    split = ood(corpus, keep_valid="ood")
    applied = apply_manifest(split, corpus.assign(start_s=0.5), utterance_digest="sha256:2")
    assert applied.shift == split.shift
    assert applied.shift["valid_with"] == "test"


def test_a_split_is_applied_twice_and_the_first_store_is_forgotten_but_not_the_origin(corpus, split):
    smaller = corpus[corpus["id"] != split.splits["test"][0]]
    once = apply_manifest(split, smaller, utterance_digest="sha256:2")
    twice = apply_manifest(once, corpus, utterance_digest="sha256:3")
    assert missing_utterances(once) == [split.splits["test"][0]]
    assert missing_utterances(twice) == []
    reasons = {drop.id: drop.reason for drop in twice.dropped}
    assert reasons[split.splits["test"][0]] == "not in the published manifest"
    assert twice.generator["made_by"] == once.generator
    assert twice.generator["made_by"]["made_by"] == split.generator


def test_a_store_without_a_whole_fold_is_refused(corpus, split):
    lacking = corpus[~corpus["id"].isin(split.splits["valid"])]
    with pytest.raises(SplitError, match='no utterance of fold "valid" of the manifest: found 269 of 299'):
        apply_manifest(split, lacking, utterance_digest="sha256:2")
    with pytest.raises(SplitError, match="found 0 of 299 utterances"):
        apply_manifest(split, corpus.assign(id=np.arange(300).astype(str)), utterance_digest="sha256:2")


def test_an_unknown_name_lists_the_known(tmp_path, monkeypatch):
    with pytest.raises(SplitError, match="no published split 'x' of nothing: found none"):
        load_published("nothing", "x")
    monkeypatch.setattr("mer_data.splits.published.published_folder", lambda dataset: tmp_path)
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text("{}")
    with pytest.raises(
        SplitError, match=r"no published split 'x' of mosi: found a, b\. Name one of these, or the path"
    ):
        load_published("mosi", "x")
    with pytest.raises(SplitError, match="not a split manifest"):
        load_published("mosi", "a")


def test_a_path_is_taken_where_it_ends_in_json(split, tmp_path):
    split.save(tmp_path / "mine.json")
    assert load_published("mosi", str(tmp_path / "mine.json")) == split
    with pytest.raises(SplitError, match=r"no split manifest .*other\.json\. Published ones of nothing"):
        load_published("nothing", str(tmp_path / "other.json"))
    with pytest.raises(SplitError, match=r"of another corpus in .*mine\.json: found mosi, expected mosei"):
        load_published("mosei", str(tmp_path / "mine.json"))


def test_a_saved_application_loads_again(corpus, split, tmp_path):
    applied = apply_manifest(split, corpus.iloc[1:], utterance_digest="sha256:2")
    applied.save(tmp_path / "applied.json")
    assert SplitManifest.load(tmp_path / "applied.json") == applied
