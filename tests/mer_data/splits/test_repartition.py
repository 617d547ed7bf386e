"""``repartition``: what every split keeps, and how far it shifts."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.splits.shift.divergence import weighted_divergences
from mer_data.splits.shift.measure import ShiftMeter
from mer_data.tasks import TASKS

QUICK = {"restarts": 1, "steps_per_utterance": 10}


def sizes_of(split):
    return {fold: len(ids) for fold, ids in split.splits.items()}


def bits_of(split):
    return split.shift["word_label_divergence_bits"]


def rows_of(corpus, split, fold):
    return corpus["id"].isin(split.splits[fold]).to_numpy()


@settings(max_examples=8)
@given(
    st.integers(60, 150),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([(0.6, 0.1), (0.1, 0.1), (0.5, 0.4)]),
    st.sampled_from(["iid", "ood"]),
)
def test_every_split_keeps_sizes_ids_and_class_shares(
    corpus_maker, ood, num_rows, seed, severity, folds, side
):
    corpus = corpus_maker(num_rows, seed, folds)
    corpus.loc[num_rows // 20, "fold"] = "none"
    split = ood(
        corpus,
        seed=seed,
        severity=severity,
        keep_valid=side,
        label_tolerance=0.5,
        steps_per_utterance=4,
        min_count=3,
        restarts=1,
    )
    assert sizes_of(split) == {fold: (corpus["fold"] == fold).sum() for fold in split.splits}
    placed = [name for ids in split.splits.values() for name in ids] + [drop.id for drop in split.dropped]
    assert sorted(placed) == sorted(corpus["id"])
    assert [(drop.id, drop.reason) for drop in split.dropped] == [
        (corpus["id"][num_rows // 20], "in no standard fold")
    ]
    pool = np.sign(corpus["label"][corpus["fold"] != "none"])
    for fold, ids in split.splits.items():
        own = np.sign(corpus["label"][corpus["id"].isin(ids)])
        for sign in (-1, 0, 1):
            off = abs((own == sign).sum() - (pool == sign).mean() * len(ids))
            assert off < (1 if fold == "test" and side == "iid" else 2) + 1e-9


@pytest.mark.parametrize("task", ["binary", "seven"])
def test_the_shift_rises_with_the_severity_and_nothing_else_does(corpus, corpus_maker, series, task):
    corpus = corpus if task == "binary" else corpus_maker(600)
    corpus["label"] = corpus["label"] if task == "binary" else np.arange(600) % 7 - 3.0
    levels = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]
    splits = series(corpus, levels, task, label_tolerance=0.05)
    bits = [bits_of(split)["this_split"] for split in splits]
    assert all(weaker < stronger for weaker, stronger in pairwise(bits))
    random = bits_of(splits[0])
    assert abs(bits[0] - random["random_mean"]) < 4 * random["random_std"]
    assert bits[-1] > 2.5 * random["random_mean"]
    linear = bits[0] + np.array(levels) * (bits[-1] - bits[0])
    assert bits == pytest.approx(linear, abs=0.02 * (bits[-1] - bits[0]) + 1e-3)
    assert (bits >= linear - 2e-6).all()  # where the search first came as far, up to the rounding
    assert all(sizes_of(split) == sizes_of(splits[0]) for split in splits)
    assert all(
        split.shift["label_shares"]["test"] == splits[0].shift["label_shares"]["test"] for split in splits
    )
    assert [split.generator["severity"] for split in splits] == levels


def test_a_level_of_a_series_is_the_split_of_that_severity(corpus, series, ood):
    for split in series(corpus, [1, 0.3], **QUICK):
        assert ood(corpus, severity=split.generator["severity"], **QUICK) == split


def test_the_default_severity_is_the_tasks(corpus, ood):
    assert ood(corpus, **QUICK) == ood(corpus, severity=0.6, **QUICK)


def test_the_words_that_tell_the_hidden_groups_apart_shift_most(corpus_maker, table_of, ood):
    corpus = corpus_maker(1000)
    split = ood(corpus, severity=1)
    bits = bits_of(split)
    assert bits["this_split"] > 5 * bits["random_mean"]
    assert bits["this_split"] > bits["random_mean"] + 10 * bits["random_std"]
    table = table_of(corpus)
    counts = table.counts_in(rows_of(corpus, split, "test"))
    by_word = weighted_divergences(counts, table.counts, table.prior, 1.0) / table.counts.sum(axis=1)
    spurious = np.isin(table.words, ["velvet", "marble", "copper", "lemon"])
    assert spurious.sum() == 4
    assert by_word[spurious].mean() > 1.5 * by_word[~spurious].mean()
    assert split.shift["text_probe"]["test"] < split.shift["text_probe"]["random_mean"] - 0.3


def test_lengths_in_test_stay_those_of_the_pool_within_each_class(corpus_maker, ood):
    corpus = corpus_maker(600)
    rows = corpus.assign(
        length=corpus["text"].str.split().str.len(), in_test=rows_of(corpus, ood(corpus, severity=1), "test")
    )
    mean = rows.groupby([np.sign(rows["label"]), "in_test"])["length"].mean().unstack()
    assert (mean[True] - mean[False]).abs().max() < 0.5


def test_the_furthest_of_all_restarts_is_taken(corpus, ood):
    bits = [
        bits_of(ood(corpus, severity=1, restarts=n, steps_per_utterance=3))["this_split"] for n in (1, 2, 6)
    ]
    assert bits == sorted(bits)
    assert bits[0] < bits[2]


def test_validation_is_a_part_of_the_side_it_is_kept_with(corpus_maker, ood):
    corpus = corpus_maker(600, folds=(0.5, 0.2))
    iid, shifted = (ood(corpus, severity=1, keep_valid=side, **QUICK) for side in ("iid", "ood"))
    assert sizes_of(iid) == sizes_of(shifted) == {"train": 300, "valid": 120, "test": 180}
    for split in (iid, shifted):
        inside = split.shift["valid_divergence_bits"]
        assert abs(inside["this_split"] - inside["random_mean"]) < 4 * inside["random_std"]
    assert (iid.shift["valid_with"], shifted.shift["valid_with"]) == ("train", "test")
    assert bits_of(shifted)["this_split"] > 3 * bits_of(shifted)["random_mean"]

    # Where validation shifts as test does, a split of train against validation is as far as one against test.
    def between(split, one, other):
        pool = corpus[rows_of(corpus, split, one) | rows_of(corpus, split, other)].reset_index(drop=True)
        folds = np.where(rows_of(pool, split, other), "test", "train")
        found = ShiftMeter(pool, TASKS["binary"], min_count=10, smoothing=1.0).measure(folds)[
            "word_label_divergence_bits"
        ]
        return found["this_split"] / found["random_mean"]

    assert between(shifted, "train", "test") > 2.5
    assert between(shifted, "train", "valid") > 2.5
    assert between(iid, "train", "test") > 2.5
    assert between(iid, "train", "valid") < 1.3


def test_sizes_can_be_given_and_the_surplus_is_listed(corpus, ood):
    corpus.loc[5, "fold"] = "none"
    split = ood(corpus, sizes=(100, 50, 60), seed=3)
    assert sizes_of(split) == {"train": 100, "valid": 50, "test": 60}
    reasons = [drop.reason for drop in split.dropped]
    assert reasons.count("more utterances than the sizes asked for") == 299 - 210
    assert reasons.count("in no standard fold") == 1
    assert {drop.id for drop in split.dropped} == set(corpus["id"]) - {
        name for ids in split.splits.values() for name in ids
    }
    other = ood(corpus, sizes=(100, 50, 60), seed=4)
    assert {drop.id for drop in other.dropped} != {drop.id for drop in split.dropped}


def test_with_sizes_no_standard_folds_are_needed(corpus, ood):
    split = ood(corpus.assign(fold="none"), sizes=(200, 40, 60))
    assert sizes_of(split) == {"train": 200, "valid": 40, "test": 60}
    assert split.dropped == ()
    assert bits_of(split)["standard_folds"] is None


@pytest.mark.parametrize("side", ["iid", "ood"])
def test_whole_videos_stay_in_one_fold(corpus_maker, series, side):
    corpus = corpus_maker(800, folds=(0.6, 0.15))
    of = np.random.default_rng(0).integers(0, 100, 800)
    corpus["video_id"] = [f"v{i}" for i in of]
    splits = series(corpus, [0, 0.5, 1], group_by="video", keep_valid=side, restarts=1)
    bits = [bits_of(split)["this_split"] for split in splits]
    assert bits == sorted(set(bits))
    assert bits[2] > 1.5 * bits_of(splits[2])["random_mean"]
    for split in splits:
        videos = [set(corpus["video_id"][rows_of(corpus, split, fold)]) for fold in split.splits]
        assert not any(one & other for one, other in combinations(videos, 2))
        assert set.union(*videos) == set(corpus["video_id"])
        sizes = sizes_of(split)
        assert sum(sizes.values()) == 800
        shifted = 200 if side == "iid" else 320
        assert sizes["test"] + (sizes["valid"] if side == "ood" else 0) == pytest.approx(shifted, rel=0.01)
        assert abs(sizes["valid"] - 120) <= 1
        assert split.shift["videos"]["num_test_in_train_or_valid"] == 0
        assert split.shift["max_label_share_deviation"] <= 0.02


def test_the_generator_names_all_parameters_and_progress_reaches_the_end(corpus, series):
    calls = []
    (split,) = series(
        corpus, [0.25], seed=2, restarts=3, progress=lambda done, total, _="": calls.append((done, total))
    )
    assert split.generator == {
        "name": "repartition",
        "seed": 2,
        "severity": 0.25,
        "min_count": 10,
        "smoothing": 1.0,
        "label_tolerance": 0.02,
        "group_by": "utterance",
        "keep_valid": "iid",
        "sizes": None,
        "restarts": 3,
        "steps_per_utterance": 40,
    }
    assert (split.dataset, split.task, split.kind, split.utterance_digest) == (
        "mosi",
        "binary",
        "ood",
        "sha256:1",
    )
    assert calls[0] == (0, 36_000)
    assert calls[-1] == (36_000, 36_000)
    assert calls == sorted(calls)
    assert len(calls) == 3 * 101
