from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.splits.annealing import Cells, swap_changes
from mer_data.splits.initial_assignment import share_limits
from mer_data.splits.search import SCALE, DivergenceTable, Limits, SwapSearch
from mer_data.splits.shift.divergence import weighted_divergences
from mer_data.splits.shift.words import NumberedWords, WordTable

UTTERANCES = st.lists(
    st.tuples(st.lists(st.sampled_from("abcde"), max_size=4), st.integers(0, 2), st.integers(0, 5)),
    min_size=4,
    max_size=30,
).map(lambda rows: [(["a"], 0, 0), *rows])
"""Words, class and video of utterances; a pool without any word is refused before a search."""


def bits(table, shifted, smoothing):
    """sum n_w JSD_w of a side, counted from nothing."""
    return weighted_divergences(table.counts_in(shifted), table.counts, table.prior, smoothing).sum()


def search_of(table, unit_of, start, smoothing=1.0, kinds=None, limits=None, seed=0):
    num_units = int(unit_of.max()) + 1
    kinds = np.zeros(num_units, dtype=np.int64) if kinds is None else kinds
    return SwapSearch(
        DivergenceTable(table, unit_of, num_units, smoothing),
        start,
        kinds=kinds,
        limits=limits,
        rng=np.random.default_rng(seed),
    )


def units_of(videos, grouped):
    if not grouped:
        return np.arange(len(videos))
    return np.unique(videos, return_inverse=True)[1].astype(np.int64)


@settings(max_examples=60)
@given(UTTERANCES, st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 2**20))
def test_every_total_is_the_divergence_recounted_from_nothing(rows, grouped, smoothing, seed):
    tokens, classes, videos = (list(part) for part in zip(*rows, strict=True))
    table = WordTable.build(NumberedWords.from_rows(tokens), np.array(classes), 3, min_count=1)
    unit_of = units_of(videos, grouped)
    rng = np.random.default_rng(seed)
    start = rng.random(unit_of.max() + 1) < 0.5
    search = search_of(table, unit_of, start, smoothing, seed=seed)
    search.run(40)
    totals = search.totals
    at_start = bits(table, start[unit_of], smoothing)
    for swaps in range(len(totals)):
        now = bits(table, search.state(swaps)[unit_of], smoothing)
        assert (totals[swaps] - totals[0]) / SCALE == pytest.approx(now - at_start, abs=1e-7)


@settings(max_examples=60)
@given(UTTERANCES, st.booleans(), st.integers(0, 2**20))
def test_every_state_is_one_swap_from_the_one_before_and_keeps_the_kinds(rows, grouped, seed):
    tokens, classes, videos = (list(part) for part in zip(*rows, strict=True))
    table = WordTable.build(NumberedWords.from_rows(tokens), np.array(classes), 3, min_count=1)
    unit_of = units_of(videos, grouped)
    rng = np.random.default_rng(seed)
    num_units = unit_of.max() + 1
    start, kinds = rng.random(num_units) < 0.5, rng.integers(0, 3, num_units)
    search = search_of(table, unit_of, start, kinds=kinds, seed=seed)
    search.run(60)
    states = [search.state(swaps) for swaps in range(len(search.totals))]
    assert np.array_equal(states[0], start)
    for before, after in pairwise(states):
        assert sorted((after.astype(int) - before.astype(int))[after != before]) == [-1, 1]
    for state in states:
        assert np.array_equal(np.bincount(kinds[state], minlength=3), np.bincount(kinds[start], minlength=3))
    has_partner = any(len(set(start[kinds == kind])) == 2 for kind in range(3))
    assert search.can_move == has_partner
    assert has_partner or len(states) == 1


@pytest.mark.parametrize("grouped", [False, True])
def test_a_refused_swap_leaves_every_count_as_it_was(corpus, table_of, grouped):
    table = table_of(corpus)
    unit_of = units_of(corpus["video_id"], grouped)
    search = search_of(table, unit_of, np.arange(unit_of.max() + 1) % 3 == 0)
    cells = Cells(*search._cells)
    before = cells.places.copy()
    leaves, enters = np.array([0, 3, 72], dtype=np.int32), np.array([1, 40, 74], dtype=np.int32)
    changes = swap_changes(cells, leaves, enters)
    assert np.array_equal(cells.places, before)
    start = search.state(0)
    for change, leaving, entering in zip(changes, leaves, enters, strict=True):
        swapped = start.copy()
        swapped[leaving], swapped[entering] = False, True
        gained = bits(table, swapped[unit_of], 1.0) - bits(table, start[unit_of], 1.0)
        assert gained != 0
        assert change / SCALE == pytest.approx(gained, abs=1e-7)


def plain_search(search, steps, rng):
    """The swaps that are accepted, by a loop that recounts nothing but looks every number up."""
    cells, limits = Cells(*search._cells), search._limits
    places, here, there = cells.places.copy(), search._here.tolist(), search._there.tolist()
    sums, swaps = search._sums.copy(), []
    lowest = np.log1p(-rng.random(steps))
    probes = search._propose(*rng.random((2, 200)))
    changes = swap_changes(cells, search._here[probes[0]], search._there[probes[1]])
    lowest *= np.abs(changes).mean() * 0.01 ** np.linspace(0, 1, steps)
    for step, (i, j) in enumerate(zip(*search._propose(*rng.random((2, steps))), strict=True)):
        leaves, enters = here[i], there[j]
        changed = sums - limits.rows[leaves] + limits.rows[enters]
        if (changed > limits.most + 1e-6).any():
            continue
        counts = places.copy()
        for unit, sign in ((leaves, -1), (enters, 1)):
            own = slice(cells.offsets[unit], cells.offsets[unit + 1])
            counts[cells.numbers[own]] += sign * cells.amounts[own]
        if cells.values[counts].sum() - cells.values[places].sum() >= lowest[step]:
            places, sums, here[i], there[j] = counts, changed, enters, leaves
            swaps.append((leaves, enters))
    return swaps


@pytest.mark.parametrize("grouped", [False, True])
def test_the_compiled_loop_does_what_a_plain_one_does(corpus, table_of, grouped):
    table = table_of(corpus)
    unit_of = units_of(corpus["video_id"], grouped)
    start = np.arange(unit_of.max() + 1) % 3 == 0
    weight = np.random.default_rng(0).normal(size=(len(start), 1))
    limits = Limits(weight, weight[start].sum(axis=0) + 0.5)
    search = search_of(table, unit_of, start, limits=limits, seed=5)
    expected = plain_search(search, 1500, np.random.default_rng(5))
    search.run(1500)
    assert [tuple(swap) for swap in search._swaps] == expected
    assert len(expected) > 100


def test_units_of_different_sizes_come_back_to_the_size_of_the_start(corpus_maker, table_of):
    corpus = corpus_maker(1200)
    videos = np.random.default_rng(0).geometric(0.15, 400).cumsum()
    unit_of = np.searchsorted(videos, np.arange(1200), side="right").astype(np.int64)
    sizes, start = np.bincount(unit_of), np.arange(unit_of.max() + 1) % 3 == 0
    kept = []
    for known in (None, sizes):
        search = SwapSearch(
            DivergenceTable(table_of(corpus), unit_of, len(sizes), 1.0),
            start,
            kinds=np.zeros(len(sizes), dtype=np.int64),
            limits=share_limits(unit_of, [], sizes[start].sum(), 12.0),
            rng=np.random.default_rng(0),
            sizes=known,
        )
        search.run(8000)
        states = [search.state(swaps) for swaps in range(len(search.totals))]
        has_size = [sizes[state].sum() == sizes[start].sum() for state in states]
        if known is not None:
            assert search.keeps_size().tolist() == has_size
        kept.append(np.mean(has_size[len(has_size) // 2 :]))
    free, bound = kept
    assert bound > 2 * free > 0, kept


def test_limits_are_kept_at_every_state(corpus, table_of):
    table, unit_of = table_of(corpus), units_of(corpus["video_id"], True)
    start = np.arange(75) % 3 == 0
    rng = np.random.default_rng(0)
    weight = rng.normal(size=75)
    rows = np.stack([weight, -weight], axis=1)  # from above and from below
    limits = Limits(rows, rows[start].sum(axis=0) + 0.5)
    free, bound = (search_of(table, unit_of, start, limits=given) for given in (None, limits))
    sums = {}
    for name, search in (("free", free), ("bound", bound)):
        search.run(3000)
        sums[name] = np.array([rows[search.state(k)].sum(axis=0) for k in range(len(search.totals))])
    assert (sums["bound"] <= limits.most + 1e-6).all()
    assert (sums["free"] > limits.most + 0.5).any()  # else the limits would not have been tried
    assert bound.totals.max() > bound.totals[0]


def test_nothing_moves_where_no_swap_keeps_the_limits(corpus, table_of):
    start = np.arange(300) < 90
    rows = np.arange(300, dtype=np.float64)[:, None]  # whatever enters is more than what leaves
    search = search_of(
        table_of(corpus), np.arange(300), start, limits=Limits(rows, rows[start].sum(axis=0) + 0.5)
    )
    assert search.can_move
    search.run(500)
    assert len(search.totals) == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_best_of_all_sides_of_a_small_corpus(corpus_maker, table_of, seed):
    corpus = corpus_maker(14, seed)
    table = table_of(corpus, min_count=1)
    start = np.zeros(14, dtype=bool)
    start[[0, 1, 2, 5, 7]] = True
    kinds = (table.classes == 0).astype(np.int64)  # negative or not
    best = 0.0
    for chosen in combinations(range(14), 5):
        side = np.isin(np.arange(14), chosen)
        if (kinds[side] == 1).sum() == (kinds[start] == 1).sum():
            best = max(best, bits(table, side, 1.0))
    search = search_of(table, np.arange(14), start, kinds=kinds, seed=seed)
    search.run(3000)
    found = bits(table, search.state(int(np.argmax(search.totals))), 1.0)
    assert found == pytest.approx(best, abs=1e-9)


def test_a_search_goes_far_beyond_its_start_and_does_not_end_far_below_its_best(corpus, table_of):
    table = table_of(corpus)
    search = search_of(table, np.arange(300), np.arange(300) % 3 == 0)
    search.run(12_000)
    start, end = bits(table, search.state(0), 1.0), bits(table, search.state(len(search.totals) - 1), 1.0)
    assert end > 3 * start
    gained = search.totals - search.totals[0]
    assert gained[-1] > 0.95 * gained.max()


def test_equal_seeds_give_equal_courses_and_the_total_does_not_depend_on_the_way(corpus, table_of):
    table = table_of(corpus)
    one, same, other = (
        search_of(table, np.arange(300), np.arange(300) % 3 == 0, seed=seed) for seed in (1, 1, 2)
    )
    for search in (one, same, other):
        search.run(2000)
    assert np.array_equal(one.totals, same.totals)
    assert not np.array_equal(one.state(10), other.state(10))
    again = search_of(table, np.arange(300), one.state(len(one.totals) - 1))
    assert again.totals[0] == one.totals[-1]  # to the last bit


def test_progress_is_told_about_a_hundred_times(corpus, table_of):
    search, calls = search_of(table_of(corpus), np.arange(300), np.arange(300) < 90), []
    search.run(1000, lambda done, total: calls.append((done, total)))
    assert calls == [(done, 1000) for done in range(0, 1001, 10)]


def test_words_of_equal_texts_leave_the_divergence_where_it_is():
    table = WordTable.build(NumberedWords.from_rows([["a", "b"]] * 12), np.arange(12) % 3, 3, min_count=1)
    search = search_of(table, np.arange(12), np.arange(12) < 6, kinds=np.arange(12) % 3)
    search.run(100)
    assert len(search.totals) > 1
    assert set(search.totals) == {search.totals[0]}
