"""Splits of real CMU-MOSI: what they keep, how far they shift, and what that costs a model of the text."""

from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mer_data.sources import open_source
from mer_data.splits import RepartitionSettings, regenerate, repartition
from mer_data.splits.defaults import default_of
from mer_data.splits.published import load_published, published_folder, published_names
from mer_data.splits.shift.divergence import weighted_divergences
from mer_data.splits.shift.words import NumberedWords, WordTable
from mer_data.store.digests import utterance_digest
from mer_data.tasks import TASKS

SIZES = {"train": 1284, "valid": 229, "test": 686}
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
DROP = {"binary": (0.08, 0.10), "seven": (0.015, 0.035)}
"""What the encoder probe loses from the standard folds to the default ones, as docs/severity.md promises."""
DEFAULT_SEVERITY = {task: default_of("mosi", task).severity["utterance"] for task in TASKS}
PUBLISHED = {name: load_published("mosi", name) for name in published_names("mosi")}


@pytest.fixture(scope="module")
def utterances(mosi_folder):
    """The frame of a store of CMU-MOSI, without building the store."""
    frame = pd.concat([block.frame for block in open_source("mosi", mosi_folder).blocks()])
    return frame.reset_index(drop=True)


@pytest.fixture(scope="module")
def made(utterances):
    """Splits by severity, for a task and settings: one search, then remembered."""
    digest = utterance_digest(utterances)

    @cache
    def run(task, settings, levels):
        splits = repartition(
            utterances,
            dataset="mosi",
            utterance_digest=digest,
            task=TASKS[task],
            settings=settings,
            severities=levels,
        )
        return dict(zip(levels, splits, strict=True))

    return run


def all_levels(task, settings):
    """The levels of a series and the default one; of videos the furthest."""
    if settings.group_by == "video":
        return (1.0,)
    return tuple(sorted({*LEVELS, DEFAULT_SEVERITY[task]}))


def bits_of(split):
    return split.shift["word_label_divergence_bits"]


@pytest.mark.parametrize("task", TASKS)
def test_the_default_split_keeps_sizes_and_shares_and_goes_far_beyond_chance(made, utterances, task):
    settings = RepartitionSettings(group_by="utterance")
    split = made(task, settings, all_levels(task, settings))[DEFAULT_SEVERITY[task]]
    assert {fold: len(ids) for fold, ids in split.splits.items()} == SIZES
    assert split.dropped == ()
    assert split.shift["max_label_share_deviation"] <= settings.label_tolerance
    bits = bits_of(split)
    assert bits["this_split"] >= (2.5 if task == "binary" else 1.7) * bits["random_mean"]
    assert bits["this_split"] > bits["random_mean"] + 10 * bits["random_std"]
    assert bits["this_split"] > 1.25 * bits["standard_folds"]
    inside = split.shift["valid_divergence_bits"]
    assert abs(inside["this_split"] - inside["random_mean"]) < 4 * inside["random_std"]
    lengths = split.shift["words_per_utterance"]
    assert lengths["test"] == pytest.approx(lengths["train"], rel=0.1)
    probe = split.shift["text_probe"]
    assert probe["test"] < probe["standard_folds"] - 0.05
    labels = utterances.set_index("id")["label"]
    for fold, ids in split.splits.items():
        classes = TASKS[task].class_of(labels[list(ids)].to_numpy())
        shares = dict(zip(TASKS[task].classes, np.bincount(classes) / len(ids), strict=True))
        assert split.shift["label_shares"][fold] == pytest.approx(shares, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_a_series_rises_strictly_and_a_bag_of_words_falls(made, task):
    settings = RepartitionSettings(group_by="utterance")
    splits = made(task, settings, all_levels(task, settings))
    bits = [bits_of(split)["this_split"] for split in splits.values()]
    assert all(weaker < stronger for weaker, stronger in pairwise(bits))
    assert bits[0] == pytest.approx(bits_of(splits[0.0])["random_mean"], rel=0.15)
    assert all({fold: len(ids) for fold, ids in split.splits.items()} == SIZES for split in splits.values())
    accuracies = [splits[level].shift["text_probe"]["test"] for level in LEVELS]
    assert spearmanr(LEVELS, accuracies).statistic <= -0.9


@pytest.mark.parametrize("task", TASKS)
def test_even_the_furthest_split_hides_no_words(made, utterances, task):
    """The divergence comes from words seen on both sides: those that are all on one earn next to nothing."""
    settings = RepartitionSettings(group_by="utterance")
    split = made(task, settings, all_levels(task, settings))[1.0]
    classes = TASKS[task].class_of(utterances["label"].to_numpy())
    words = NumberedWords.from_texts(utterances["text"])
    table = WordTable.build(words, classes, TASKS[task].num_classes, settings.min_count)
    shifted = table.counts_in(utterances["id"].isin(split.splits["test"]).to_numpy())
    weighted = weighted_divergences(shifted, table.counts, table.prior, settings.smoothing)
    share = shifted.sum(axis=1) / table.counts.sum(axis=1)
    assert weighted[(share < 0.05) | (share > 0.95)].sum() < 0.01 * weighted.sum()


@pytest.mark.parametrize("task", TASKS)
def test_the_split_by_videos_shares_none(made, utterances, task):
    settings = RepartitionSettings(group_by="video")
    split = made(task, settings, all_levels(task, settings))[1.0]
    video_of = utterances.set_index("id")["video_id"]
    videos = [set(video_of[list(ids)]) for ids in split.splits.values()]
    assert not any(one & other for one, other in combinations(videos, 2))
    assert sum(map(len, videos)) == 93
    for fold, ids in split.splits.items():
        assert len(ids) == SIZES[fold]
    assert split.shift["max_label_share_deviation"] <= settings.label_tolerance
    bits = bits_of(split)
    assert bits["this_split"] > bits["standard_folds"]
    assert bits["this_split"] > 1.4 * bits["random_mean"]


@pytest.mark.skipif(not published_folder("mosi").is_dir(), reason="no split of CMU-MOSI is published")
def test_every_published_split_is_what_its_parameters_give(made, tmp_path):
    assert PUBLISHED
    for name, manifest in PUBLISHED.items():
        settings = RepartitionSettings.from_recorded(manifest.generator)
        settings, severity = replace(settings, severity=None), settings.severity
        levels = all_levels(manifest.task, settings)
        splits = made(manifest.task, settings, levels if severity in levels else (severity,))
        splits[severity].save(tmp_path / "again.json")
        assert (tmp_path / "again.json").read_bytes() == (
            published_folder("mosi") / f"{name}.json"
        ).read_bytes(), name


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED, reason="no split of CMU-MOSI is published")
def test_regenerate_gives_the_published_default(utterances):
    published = PUBLISHED["ood_binary_seed0"]
    assert regenerate(published, utterances, TASKS["binary"]).digest == published.digest


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_three_series_fall_in_the_mean(made, task):
    correlations = []
    for seed in (0, 1, 2):
        splits = made(task, RepartitionSettings(seed=seed, group_by="utterance"), LEVELS)
        bits = [bits_of(split)["this_split"] for split in splits.values()]
        assert all(weaker < stronger for weaker, stronger in pairwise(bits))
        accuracies = [split.shift["text_probe"]["test"] for split in splits.values()]
        correlations.append(spearmanr(LEVELS, accuracies).statistic)
    assert np.mean(correlations) <= -0.9


@pytest.fixture(scope="module")
def encoder_probe(mosi_stores):
    """Logistic regression on the mean of MiniLM's features over the word pieces that a model is served."""
    from mer_data.reports.encoder_probe import EncoderProbe

    return EncoderProbe(mosi_stores["csd"], "minilm")


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_frozen_encoder_loses_on_the_default_splits_what_was_calibrated(made, encoder_probe, name):
    levels = (DEFAULT_SEVERITY[name],)
    splits = [
        made(name, RepartitionSettings(seed=seed, group_by="utterance"), levels)[levels[0]]
        for seed in (0, 1, 2)
    ]
    shifted = np.mean([encoder_probe.test_accuracy(split, TASKS[name]) for split in splits])
    least, most = DROP[name]
    assert least <= encoder_probe.standard_accuracy(TASKS[name]) - shifted <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_frozen_encoder_falls_along_the_series(made, encoder_probe, name):
    """Mean of three seeds, as docs/severity.md shows it."""
    accuracies = []
    for seed in (0, 1, 2):
        splits = made(name, RepartitionSettings(seed=seed, group_by="utterance"), LEVELS)
        accuracies.append([encoder_probe.test_accuracy(split, TASKS[name]) for split in splits.values()])
    assert spearmanr(LEVELS, np.mean(accuracies, axis=0)).statistic <= -0.9
    each = [spearmanr(LEVELS, of_seed).statistic for of_seed in accuracies]
    assert np.mean(each) <= -0.9
