"""Splits of the real text of CMU-MOSEI: exact sizes, no speaker in two folds, and what that costs a model."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from mer_data.sources import open_source
from mer_data.splits import RepartitionSettings, repartition
from mer_data.splits.defaults import default_of
from mer_data.splits.published import load_published, published_names
from mer_data.store.digests import utterance_digest
from mer_data.tasks import TASKS

SIZES = {"train": 16326, "valid": 1871, "test": 4659}
DROP = {"binary": (0.104, 0.124), "seven": (0.030, 0.050)}
"""What the encoder probe loses from the standard folds to the default ones, as docs/severity.md promises."""
LEVELS = ("0", "0.25", "0.5", "0.75", "1")


@pytest.fixture(scope="module")
def utterances(mosei_folder):
    """The frame of a store of MMSA's label table, without building the store."""
    frame = pd.concat([block.frame for block in open_source("mosei", mosei_folder / "label.csv").blocks()])
    return frame.reset_index(drop=True)


@pytest.fixture(scope="module")
def made(utterances):
    """A default split by task and seed: one search, then remembered."""

    @cache
    def run(task, seed):
        (split,) = repartition(
            utterances,
            dataset="mosei",
            utterance_digest=utterance_digest(utterances),
            task=TASKS[task],
            settings=RepartitionSettings(seed=seed),
        )
        return split

    return run


def published(task, middle=""):
    return load_published("mosei", f"ood_{task}_{middle}seed0")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("middle", ["", "utterance_", *(f"severity{level}_" for level in LEVELS)])
def test_published_folds_have_the_sizes_of_the_standard_ones(task, middle):
    assert {fold: len(ids) for fold, ids in published(task, middle).splits.items()} == SIZES


@pytest.mark.parametrize("name", published_names("mosei"))
def test_in_published_splits_of_whole_videos_none_is_in_two_folds(name):
    split = load_published("mosei", name)
    videos = [{one.rpartition("$_$")[0] for one in ids} for ids in split.splits.values()]
    is_divided = any(one & other for one, other in combinations(videos, 2))
    assert is_divided == (split.generator["group_by"] == "utterance")


@pytest.mark.parametrize("task", TASKS)
def test_published_severities_rise_strictly_and_the_default_lies_far_above_chance(task):
    series = [published(task, f"severity{level}_").shift for level in LEVELS]
    bits = [shift["word_label_divergence_bits"]["this_split"] for shift in series]
    assert bits == sorted(set(bits))
    random = series[0]["word_label_divergence_bits"]
    assert bits[0] == pytest.approx(random["random_mean"], rel=0.05)
    default = published(task).shift
    own = default["word_label_divergence_bits"]
    assert own["this_split"] > own["random_mean"] + 20 * own["random_std"]
    assert default["max_label_share_deviation"] <= 0.02
    accuracies = [shift["text_probe"]["test"] for shift in series]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_published_default_is_what_its_parameters_give(made, utterances, task):
    assert made(task, 0).digest == published(task).digest
    default = default_of("mosei", task)
    assert made(task, 0).generator["severity"] == default.severity[default.group_by]


@pytest.fixture(scope="module")
def encoder_probe(mosei_store):
    """Logistic regression on the mean of MiniLM's features over the word pieces that a model is served."""
    from mer_data.reports.encoder_probe import EncoderProbe

    return EncoderProbe(mosei_store, "minilm")


@pytest.fixture(scope="module")
def mosei_store(mosei_folder, tmp_path_factory):
    from mer_data.build import build_store
    from mer_data.store.reader import FeatureStore

    path = tmp_path_factory.mktemp("mosei") / "unaligned.h5"
    build_store(open_source("mosei", mosei_folder / "label.csv"), path, alignment="unaligned")
    return FeatureStore.open(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_frozen_encoder_loses_on_the_default_splits_what_was_calibrated(made, encoder_probe, name):
    splits = [made(name, seed) for seed in (0, 1, 2)]
    shifted = np.mean([encoder_probe.test_accuracy(split, TASKS[name]) for split in splits])
    least, most = DROP[name]
    assert least <= encoder_probe.standard_accuracy(TASKS[name]) - shifted <= most
