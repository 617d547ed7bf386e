from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import SplitError
from mer_data.splits import SplitManifest, repartition
from mer_data.splits.annealing import FoldSearch, SwapState, stratified_sample
from mer_data.splits.shift import WordTable, words_of
from mer_data.tasks import TASKS

REAL = Path(__file__).parents[4] / "shared" / "data" / "mosi"


def ood(corpus: pd.DataFrame, task: str = "binary", seed: int = 0, **options) -> SplitManifest:
    """The strongest split, unless the options say otherwise."""
    options = {"excess_bits": None, **options}
    return repartition(
        corpus, dataset="mosi", utterance_digest="sha256:1", task=TASKS[task], seed=seed, **options
    )


def table_of(corpus: pd.DataFrame, task: str = "binary") -> WordTable:
    classes = TASKS[task].class_of(corpus["label"].to_numpy())
    return WordTable.build([words_of(text) for text in corpus["text"]], classes, TASKS[task].num_classes, 5)


@pytest.mark.parametrize("task", ["binary", "seven"])
def test_state_after_many_swaps_equals_a_recount(corpus, task):
    table, rng = table_of(corpus, task), np.random.default_rng(0)
    in_test = rng.random(len(corpus)) < 0.3
    state = SwapState.of(table, in_test, 1.0)
    for _ in range(500):
        leaves, enters = rng.choice(np.flatnonzero(in_test)), rng.choice(np.flatnonzero(~in_test))
        swapped = state.swap(leaves, enters)
        if rng.random() < 0.5:
            state.undo(leaves, enters, swapped)
        else:
            in_test[leaves], in_test[enters] = False, True
    recount = SwapState.of(table, in_test, 1.0)
    assert np.array_equal(state.test_counts, recount.test_counts)
    assert state.divergences == pytest.approx(recount.divergences, abs=1e-9)


def test_undo_restores_every_bit(corpus):
    table = table_of(corpus)
    state = SwapState.of(table, np.arange(len(corpus)) < 90, 1.0)
    counts, divergences = state.test_counts.copy(), state.divergences.copy()
    state.undo(3, 200, state.swap(3, 200))
    assert np.array_equal(state.test_counts, counts)
    assert np.array_equal(state.divergences, divergences)


def test_search_ends_with_the_state_of_its_fold(corpus):
    search = FoldSearch(table_of(corpus), 90, smoothing=1.0, slack=2.0, rng=np.random.default_rng(0))
    start = search.state.total
    search.run(2000)
    recount = SwapState.of(search.state.table, search.in_test, 1.0)
    assert np.array_equal(search.state.test_counts, recount.test_counts)
    assert recount.total > 2 * start


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_stratified_sample_gives_every_key_its_share_to_within_one(keys, data):
    size = data.draw(st.integers(1, len(keys)))
    chosen = stratified_sample(np.array(keys), size, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert chosen.sum() == size
    for key, count in Counter(keys).items():
        assert abs((np.array(keys)[chosen] == key).sum() - count * size / len(keys)) < 1 + 1e-9


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(60, 150),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 0.02, 0.05, 0.3, 1.0]),
    st.sampled_from([(0.6, 0.1), (0.1, 0.1), (0.5, 0.4)]),
)
def test_every_split_keeps_sizes_ids_and_class_shares(corpus_maker, num_rows, seed, tolerance, folds):
    corpus = corpus_maker(num_rows, seed, folds)
    corpus.loc[num_rows // 20, "fold"] = "none"
    options = {"label_tolerance": tolerance, "steps": 300, "min_count": 3}
    split = ood(corpus, seed=seed, **options)
    assert {fold: len(ids) for fold, ids in split.splits.items()} == {
        fold: (corpus["fold"] == fold).sum() for fold in split.splits
    }
    placed = [name for ids in split.splits.values() for name in ids] + [drop.id for drop in split.dropped]
    assert sorted(placed) == sorted(corpus["id"])
    allowed = max(tolerance, 1 / len(split.splits["test"]))
    assert split.shift["max_label_share_deviation"] <= allowed + 1e-6
    assert ood(corpus, seed=seed, **options).digest == split.digest


def test_same_seed_same_bytes_and_another_seed_another_split(corpus, tmp_path):
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        ood(corpus, seed=seed, steps=500).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert SplitManifest.load(tmp_path / "a").splits != SplitManifest.load(tmp_path / "c").splits


def test_search_goes_far_beyond_random_and_by_the_spurious_words_first(corpus_maker):
    corpus = corpus_maker(1000)
    split = ood(corpus)
    bits = split.shift["word_label_divergence_bits"]
    assert bits["this_split"] > 5 * bits["random_mean"]
    assert bits["this_split"] > bits["random_mean"] + 10 * bits["random_std"]
    table = table_of(corpus)
    weighted = SwapState.of(table, corpus["id"].isin(split.splits["test"]).to_numpy(), 1.0).divergences
    by_word = dict(zip(table.words, weighted / table.counts.sum(axis=1), strict=True))
    spurious = [by_word.pop(word) for word in ("velvet", "marble", "copper", "lemon")]
    assert np.mean(spurious) > 1.5 * np.mean(list(by_word.values()))
    inside = split.shift["train_valid_divergence_bits"]
    assert abs(inside["this_split"] - inside["random_mean"]) < 4 * inside["random_std"]


def test_lengths_in_test_stay_those_of_the_pool_within_each_class(corpus_maker):
    corpus = corpus_maker(600)
    test = set(ood(corpus).splits["test"])
    rows = corpus.assign(length=corpus["text"].str.split().str.len(), in_test=corpus["id"].isin(test))
    mean = rows.groupby([np.sign(rows["label"]), "in_test"])["length"].mean().unstack()
    assert (mean[True] - mean[False]).abs().max() < 0.5


def test_target_stops_the_search_early(corpus):
    strongest, random = (
        ood(corpus, excess_bits=bits).shift["word_label_divergence_bits"]["this_split"]
        for bits in (None, 0.0)
    )
    excess = (strongest - random) / 2
    mild = ood(corpus, excess_bits=excess).shift["word_label_divergence_bits"]["this_split"]
    assert random + excess <= mild + 1e-6
    assert mild < random + 1.2 * excess


def test_generator_names_all_parameters_and_progress_reaches_the_end(corpus):
    calls = []
    split = ood(corpus, seed=2, steps=1000, progress=lambda done, total: calls.append((done, total)))
    assert split.generator == {
        "name": "repartition",
        "seed": 2,
        "min_count": 10,
        "smoothing": 1.0,
        "label_tolerance": 0.02,
        "steps": 1000,
        "excess_bits": None,
    }
    assert calls[0] == (0, 1000)
    assert calls[-1] == (1000, 1000)
    assert len(calls) == 101
    assert ood(corpus, steps=None).generator["steps"] == 40 * len(corpus)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "negative seed: found -1"),
        ({"min_count": 0}, "min_count is too small: found 0"),
        ({"smoothing": -0.5}, "impossible smoothing: found -0.5"),
        ({"smoothing": float("nan")}, "impossible smoothing: found nan"),
        ({"label_tolerance": 1.5}, "label_tolerance is no share: found 1.5"),
        ({"steps": -3}, "negative number of steps: found -3"),
        ({"min_count": 10_000}, "no word is frequent enough .* Lower min_count"),
        (
            {"task": "seven"},
            'a class of the task "seven" has no utterance: found none of class -3, 1, 3. Choose',
        ),
    ],
)
def test_impossible_requests_are_refused(corpus, options, message):
    with pytest.raises(SplitError, match=message):
        ood(corpus, **options)


def test_a_pool_too_small_is_refused(corpus):
    corpus.loc[corpus.index[corpus["fold"] == "valid"][2:], "fold"] = "none"
    with pytest.raises(
        SplitError, match='"valid" is too small to repartition: found 2 utterances, expected at least 3'
    ):
        ood(corpus)
    corpus.loc[corpus["fold"] == "valid", "fold"] = "none"
    with pytest.raises(SplitError, match='standard fold "valid" is empty'):
        ood(corpus)


def real_mosi() -> pd.DataFrame:
    """CMU-MOSI's utterances from its published labels, transcripts and folds."""
    import h5py
    from mmsdk.mmdatasdk.dataset.standard_datasets.CMU_MOSI import cmu_mosi_std_folds as folds

    frame = pd.read_csv(REAL / "transcripts.csv", header=None, names=["key", "text", "_", "sign"], dtype=str)
    parts = frame["key"].str.rsplit("_", n=1)
    frame["video_id"], frame["segment"] = parts.str[0], parts.str[1].astype(int)
    with h5py.File(REAL / "CMU_MOSI_Opinion_Labels.csd") as file:
        (root,) = file.values()
        labels = {video: group["features"][:, 0] for video, group in root["data"].items()}
    frame["label"] = [labels[v][s - 1] for v, s in zip(frame["video_id"], frame["segment"], strict=True)]
    fold_of = {
        video: name
        for name in ("train", "valid", "test")
        for video in getattr(folds, f"standard_{name}_fold")
    }
    frame["fold"] = frame["video_id"].map(fold_of).fillna("none")
    frame["id"] = frame["video_id"] + "$_$" + frame["segment"].astype(str)
    return frame.drop(columns=["key", "_", "sign"])


@pytest.mark.skipif(
    not REAL.is_dir(), reason="real CMU-MOSI labels and transcripts are not at ../shared/data"
)
@pytest.mark.parametrize("task", ["binary", "seven"])
def test_real_mosi_shifts_far_beyond_random_and_standard_folds(task):
    split = ood(real_mosi(), task)
    assert {fold: len(ids) for fold, ids in split.splits.items()} == {
        "train": 1284,
        "valid": 229,
        "test": 686,
    }
    bits = split.shift["word_label_divergence_bits"]
    assert bits["this_split"] > 2 * bits["standard_folds"]
    assert bits["this_split"] > bits["random_mean"] + 30 * bits["random_std"]
    assert split.shift["max_label_share_deviation"] <= 0.02
    inside = split.shift["train_valid_divergence_bits"]
    assert abs(inside["this_split"] - inside["random_mean"]) < 4 * inside["random_std"]
    lengths = split.shift["words_per_utterance"]
    assert lengths["test"] == pytest.approx(lengths["train"], rel=0.1)
