import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from mer_data.splits.shift.divergence import (
    random_divergence,
    random_side,
    split_divergence,
    weighted_divergences,
    word_weights,
)
from mer_data.splits.shift.words import NumberedWords, WordTable

PRIOR = np.array([0.2, 0.3, 0.5])
CELLS = st.lists(st.tuples(*[st.integers(0, 9)] * 6), min_size=1, max_size=8)
SMOOTHING = st.sampled_from([0.0, 0.3, 1.0, 4.5])


def jensen_shannon(shifted, rest):
    """n * JSD from the definition: H(mixture) - mixture of H, mixing weights by size."""
    sizes = np.array([shifted.sum(), rest.sum()])
    if sizes.min() == 0:
        return 0.0
    inner = sum(n * entropy(side / n, base=2) for n, side in zip(sizes, (shifted, rest), strict=True))
    return sizes.sum() * entropy((shifted + rest) / sizes.sum(), base=2) - inner


def mutual_information(pairs):
    """I(side; label) in bits of the observed (side, label) pairs, from the definition."""
    n, total = len(pairs), 0.0
    for side, label in set(pairs):
        joint = pairs.count((side, label)) / n
        p_side = sum(s == side for s, _ in pairs) / n
        p_label = sum(c == label for _, c in pairs) / n
        total += joint * np.log2(joint / (p_side * p_label))
    return total


@settings(max_examples=100)
@given(CELLS, SMOOTHING)
def test_it_is_the_jensen_shannon_divergence_with_pseudo_utterances_of_the_prior(rows, smoothing):
    cells = np.array(rows)
    cells[:, 0] += 1
    shifted, rest = cells[:, :3], cells[:, 3:]
    found = weighted_divergences(shifted, shifted + rest, PRIOR, smoothing)
    expected = [
        jensen_shannon(a + smoothing * PRIOR, b + smoothing * PRIOR)
        for a, b in zip(shifted, rest, strict=True)
    ]
    assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(CELLS, st.floats(0, 5))
def test_it_is_bounded_and_symmetric_in_the_sides(rows, smoothing):
    cells = np.array(rows)
    cells[:, 0] += 1
    shifted, counts = cells[:, :3], cells[:, :3] + cells[:, 3:]
    found = weighted_divergences(shifted, counts, PRIOR, smoothing)
    assert (found >= 0).all()
    assert (found <= counts.sum(axis=1) + 2 * smoothing + 1e-9).all()  # a sighting tells at most one bit
    swapped = weighted_divergences(counts - shifted, counts, PRIOR, smoothing)
    assert found == pytest.approx(swapped, abs=1e-9)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=3), st.integers(1, 5), st.integers(1, 5))
def test_equal_relations_have_none(counts, times, others):
    counts = np.array([counts])
    counts[0, 0] += 1
    found = weighted_divergences(times * counts, (times + others) * counts, PRIOR, 0.0)
    assert found == pytest.approx([0.0], abs=1e-9)
    of_prior = np.array([[2, 3, 5]])  # where the relation is the prior, smoothing changes nothing
    found = weighted_divergences(times * of_prior, (times + others) * of_prior, PRIOR, 1.0)
    assert found == pytest.approx([0.0], abs=1e-9)


def test_by_hand():
    # 3 of 4 negative in test, 1 of 4 in rest; with one pseudo-utterance of prior 1/2: p = 3.5/5 and 1.5/5.
    found = weighted_divergences(np.array([[3, 1]]), np.array([[4, 4]]), np.array([0.5, 0.5]), 1.0)
    assert found == pytest.approx([10 * (1 - entropy([0.7, 0.3], base=2))])


@settings(max_examples=50)
@given(st.lists(st.integers(0, 200), min_size=3, max_size=3), st.booleans())
def test_nothing_is_earned_by_hiding_a_word_on_one_side(counts, in_test):
    """Without smoothing nothing, with it less than the hidden side's one pseudo-utterance can tell."""
    counts = np.array([counts])
    counts[0, 1] += 1
    hidden = counts if in_test else np.zeros_like(counts)
    assert weighted_divergences(hidden, counts, PRIOR, 0.0) == pytest.approx([0.0], abs=1e-9)
    n = counts.sum() + 2
    most = n * entropy([1 / n, 1 - 1 / n], base=2)
    assert weighted_divergences(hidden, counts, PRIOR, 1.0) <= most + 1e-9


def test_a_word_hidden_on_one_side_earns_less_than_a_random_split_of_it():
    """For words whose labels are spread as those of real words are; a search gains nothing by hiding."""
    rng = np.random.default_rng(0)
    for relation in ([0.2, 0.3, 0.5], [0.3, 0.2, 0.5], [0.1, 0.3, 0.6]):
        classes = rng.choice(3, p=relation, size=40)
        counts = np.bincount(classes, minlength=3)[None]
        hidden = weighted_divergences(np.zeros_like(counts), counts, PRIOR, 1.0)
        random = [
            weighted_divergences(
                np.bincount(rng.permutation(classes)[:12], minlength=3)[None], counts, PRIOR, 1.0
            )
            for _ in range(200)
        ]
        assert hidden < np.mean(random)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=40), st.integers(1, 40), st.integers(0, 99))
def test_a_random_side_of_whole_units_divides_none_and_is_near_the_size(units, size, seed):
    units = np.array(units)
    side = random_side(len(units), size, seed, units)
    assert set(units[side]).isdisjoint(units[~side])
    assert side.any()
    assert abs(side.sum() - size) <= max(np.bincount(units).max(), size - len(units))
    assert np.array_equal(side, random_side(len(units), size, seed, units))


def test_the_divergence_of_a_split_is_the_mutual_information_of_side_and_label():
    rng = np.random.default_rng(1)
    tokens = [list(rng.choice(list("abcdefg"), size=4)) for _ in range(60)]
    classes = rng.integers(0, 3, size=60)
    shifted = rng.random(60) < 0.4
    table = WordTable.build(NumberedWords.from_rows(tokens), classes, 3, min_count=1)
    expected, sightings = 0.0, 0
    for word in "abcdefg":
        pairs = [(int(shifted[i]), int(classes[i])) for i in range(60) if word in tokens[i]]
        expected += len(pairs) * mutual_information(pairs)
        sightings += len(pairs)
    assert split_divergence(table, shifted, 0.0) == pytest.approx(expected / sightings, abs=1e-12)
    weighted = weighted_divergences(table.counts_in(shifted), table.counts, table.prior, 1.0)
    mean = weighted.sum() / word_weights(table, 1.0).sum()
    assert split_divergence(table, shifted, 1.0) == pytest.approx(mean)


def test_random_sides_are_above_zero_and_always_the_same(corpus, table_of):
    table = table_of(corpus)
    mean, std = random_divergence(table, 90, 1.0)
    values = [split_divergence(table, random_side(300, 90, seed), 1.0) for seed in range(5)]
    assert (mean, std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert 0 < std < mean < 0.1
    assert [random_side(300, 90, seed).sum() for seed in range(5)] == [90] * 5


def test_without_frequent_words_it_is_undefined(corpus, table_of):
    assert np.isnan(split_divergence(table_of(corpus, min_count=1000), random_side(300, 90, 0), 1.0))
