import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_data.alignment import TOLERANCE_S, assign_words_to_segments, average_frames, overlaps, resample

# Half seconds, moved by less or by more than the tolerance, never by about the tolerance itself.
ticks = st.builds(lambda n, d: n / 2 + d, st.integers(0, 8), st.sampled_from([0.0, 0.0, 4e-6, 3e-5]))
any_interval = st.tuples(ticks, ticks)
forward_interval = any_interval.map(sorted)


def as_times(pairs):
    return np.array(pairs, dtype=float).reshape(-1, 2)


def in_order(starts):
    """Frames that touch one another, as a detector writes them."""
    starts = sorted(starts)
    return list(pairwise(starts))


some_frames = st.one_of(
    st.lists(ticks, min_size=1, max_size=12).map(in_order),
    st.lists(any_interval, max_size=10),
    st.lists(forward_interval, max_size=10),
)


def slow_collapse(frames, times, intervals):
    means, counts = [], []
    for start, end in intervals:
        chosen = [
            frame
            for frame, (a, b) in zip(frames.tolist(), times, strict=True)
            if min(b, end) - max(a, start) > 1e-5
        ]
        counts.append(len(chosen))
        means.append([sum(column) / len(chosen) for column in zip(*chosen, strict=True)] or [0.0] * 2)
    return np.array(means).reshape(-1, 2), counts


# --- overlaps ---


def test_overlaps_are_shared_seconds_and_negative_where_apart():
    shared = overlaps(as_times([(0, 1), (0.5, 4), (2, 3), (5, 6)]), 0.5, 2.0)
    assert shared.tolist() == [0.5, 1.5, 0.0, -3.0]


# --- collapse ---


@settings(max_examples=250)
@given(frames=some_frames, intervals=st.lists(any_interval, max_size=6), seed=st.integers(0, 999))
def test_collapse_equals_a_plain_loop(frames, intervals, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(frames), 2)).astype(np.float32)
    means, counts = average_frames(values, as_times(frames), as_times(intervals))
    expected, expected_counts = slow_collapse(values, frames, intervals)
    assert counts.tolist() == expected_counts
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-6)
    assert means.dtype == np.float32


@pytest.mark.parametrize(("shared", "count"), [(0.9e-5, 0), (1.1e-5, 1)])
@pytest.mark.parametrize("ordered", [True, False])
def test_frames_count_when_they_share_more_than_the_tolerance(shared, count, ordered):
    frames = [(0.0, 1.0), (1.0, 2.0)] if ordered else [(0.0, 1.0), (-2.0, -1.0), (-9.0, -0.5)]
    _, counts = average_frames(np.ones((len(frames), 1)), as_times(frames), as_times([(-0.2, shared)]))
    assert counts.tolist() == [count]
    _, counts = average_frames(np.ones((len(frames), 1)), as_times(frames), as_times([(2.0 - shared, 3.0)]))
    assert counts.tolist() == [count if ordered else 0]


def test_a_gap_gives_zeros():
    means, counts = average_frames(
        np.full((2, 3), 7.0), as_times([(0, 1), (3, 4)]), as_times([(1, 3), (0, 4)])
    )
    assert means.tolist() == [[0, 0, 0], [7, 7, 7]]
    assert counts.tolist() == [0, 2]


def test_a_frame_of_a_whole_utterance_stands_for_every_word():
    means, counts = average_frames(
        np.array([[2.0, 3.0]]), as_times([(-np.inf, np.inf)]), as_times([(0, 1), (5, 6)])
    )
    assert means.tolist() == [[2, 3], [2, 3]]
    assert counts.tolist() == [1, 1]


def test_words_without_times_get_zeros():
    means, counts = average_frames(np.ones((1, 2)), as_times([(0, 9)]), as_times([(np.nan, np.nan)]))
    assert means.tolist() == [[0, 0]]
    assert counts.tolist() == [0]


def test_collapse_of_nothing():
    means, counts = average_frames(np.zeros((0, 3)), np.zeros((0, 2)), as_times([(0, 1)]))
    assert means.tolist() == [[0, 0, 0]]
    assert counts.tolist() == [0]
    means, counts = average_frames(np.ones((2, 3)), as_times([(0, 1), (1, 2)]), np.zeros((0, 2)))
    assert means.shape == (0, 3)
    assert counts.shape == (0,)


@pytest.mark.parametrize("huge", [1e20, 3e38])
def test_a_huge_frame_does_not_blur_other_words(huge):
    values = np.array([[huge], [1.0], [2.0]], np.float32)
    means, _ = average_frames(values, as_times([(0, 1), (1, 2), (2, 3)]), as_times([(1, 3), (0, 1)]))
    np.testing.assert_allclose(means, [[1.5], [huge]], rtol=1e-6)


# --- resample ---

sixteenths = st.integers(0, 96).map(lambda n: n / 16)


def slow_resample(frames, times, start, end, rate):
    inside = [b - a for a, b in times if start <= (a + b) / 2 < end]
    if inside and statistics.median(inside) * rate > 2:  # the frames are sparser than the rate
        rate = 1 / statistics.median(inside)
    num_bins = max(1, round((end - start) * rate))
    rows, gaps, used = [], 0, 0
    for index in range(num_bins):
        low = start + index / rate
        high = low + 1 / rate if index < num_bins - 1 else np.inf
        chosen = [
            f
            for f, (a, b) in zip(frames.tolist(), times, strict=True)
            if start <= (a + b) / 2 < end and low <= (a + b) / 2 < high
        ]
        used += len(chosen)
        gaps += not chosen
        rows.append([sum(c) / len(chosen) for c in zip(*chosen, strict=True)] or [0.0] * 2)
    return (np.array(rows), gaps) if used else (np.zeros((0, 2)), 0)


@settings(max_examples=200)
@given(
    frames=st.lists(st.tuples(sixteenths, sixteenths).map(sorted), max_size=20),
    segment=st.tuples(sixteenths, sixteenths).map(sorted),
    rate=st.sampled_from([1.0, 2.0, 4.0]),
)
def test_resample_equals_a_plain_loop(frames, segment, rate):
    values = np.arange(2.0 * len(frames)).reshape(-1, 2)
    rows, gaps = resample(values, as_times(frames), *segment, rate)
    expected, expected_gaps = slow_resample(values, frames, *segment, rate)
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    assert gaps == expected_gaps
    assert rows.dtype == np.float32


def test_resample_keeps_the_time_of_a_gap():
    values, times = np.array([[1.0], [5.0]]), as_times([(0, 1), (3, 4)])
    rows, gaps = resample(values, times, 0.0, 4.0, 1.0)
    assert rows.tolist() == [[1], [0], [0], [5]]
    assert gaps == 2


@pytest.mark.parametrize(("end", "num_bins"), [(2.4, 2), (2.6, 3), (0.1, 1)])
def test_resample_rounds_the_number_of_bins(end, num_bins):
    times = as_times([(t / 20, (t + 1) / 20) for t in range(60)])
    rows, gaps = resample(np.ones((60, 1)), times, 0.0, end, 1.0)
    assert rows.tolist() == [[1.0]] * num_bins
    assert gaps == 0


@pytest.mark.parametrize("segment", [(5.0, 6.0), (0.5, 0.5)])
def test_resample_without_frames_is_an_empty_row(segment):
    rows, gaps = resample(np.ones((1, 3)), as_times([(0, 1)]), *segment, 10.0)
    assert rows.shape == (0, 3)
    assert gaps == 0


# --- own_words ---


def test_a_word_goes_to_the_segment_that_shares_most_of_it():
    owners = assign_words_to_segments(
        ["a", "b"], as_times([(0.7, 1.2), (0.9, 1.4)]), as_times([(0, 1), (1, 2)])
    )
    assert owners.tolist() == [0, 1]


def test_transcripts_do_not_outweigh_a_larger_share():
    segments = as_times([(0, 1), (1, 2)])
    owners = assign_words_to_segments(["a"], as_times([(0.7, 1.2)]), segments, [["b"], ["a"]])
    assert owners.tolist() == [0]


@pytest.mark.parametrize("segments", [[(0, 2), (1, 3)], [(1, 3), (0, 2)]])
def test_equal_shares_go_to_the_first_in_time(segments):
    owners = assign_words_to_segments(["a"], as_times([(1.2, 1.4)]), as_times(segments))
    assert segments[owners[0]] == (0, 2)


def test_equal_shares_go_where_the_transcript_lacks_the_word():
    segments = as_times([(0, 2), (1, 3)])
    owners = assign_words_to_segments(["a"], as_times([(1.2, 1.4)]), segments, [["b"], ["a"]])
    assert owners.tolist() == [1]


def test_a_transcript_lacks_a_word_only_as_often_as_it_has_it():
    segments = as_times([(0, 2), (1, 3)])
    times = as_times([(1.1, 1.2), (1.3, 1.4), (1.5, 1.6), (1.7, 1.8)])
    owners = assign_words_to_segments(["a"] * 4, times, segments, [["a"], ["a", "a"]])
    assert owners.tolist() == [0, 1, 1, 0]  # the last is in no transcript: first in time


def test_shares_that_differ_by_less_than_the_tolerance_are_equal():
    segments = as_times([(0, 1.4 - 5e-6), (1, 3)])
    assert assign_words_to_segments(["a"], as_times([(1.2, 1.4)]), segments).tolist() == [0]
    segments = as_times([(0, 1.4 - 5e-5), (1, 3)])
    assert assign_words_to_segments(["a"], as_times([(1.2, 1.4)]), segments).tolist() == [1]


def test_words_outside_all_segments_have_no_owner():
    times = as_times([(1, 1.5), (-1, 0), (5, 6), (1.2, 1.2)])
    owners = assign_words_to_segments(
        ["touching", "before", "after", "no length"], times, as_times([(0, 1), (2, 3)])
    )
    assert owners.tolist() == [-1, -1, -1, -1]


def test_a_segment_without_length_takes_only_words_without_length():
    segments = as_times([(0, 2), (1, 1)])
    owners = assign_words_to_segments(["long", "short"], as_times([(0.9, 1.1), (1, 1)]), segments)
    assert owners.tolist() == [0, 1]


def test_no_segments_own_nothing():
    assert assign_words_to_segments(["a"], as_times([(0, 1)]), np.zeros((0, 2))).tolist() == [-1]
    assert assign_words_to_segments([], np.zeros((0, 2)), as_times([(0, 1)])).tolist() == []


@settings(max_examples=200)
@given(
    words=st.lists(st.tuples(st.sampled_from("abc"), forward_interval), max_size=10),
    segments=st.lists(forward_interval, min_size=1, max_size=5),
    texts=st.none() | st.lists(st.lists(st.sampled_from("abc"), max_size=4), min_size=5, max_size=5),
)
def test_every_word_has_one_owner_with_the_largest_share(words, segments, texts):
    transcripts = None if texts is None else texts[: len(segments)]
    owners = assign_words_to_segments(
        [w for w, _ in words], as_times([t for _, t in words]), as_times(segments), transcripts
    )
    assert owners.shape == (len(words),)
    for owner, (_, (start, end)) in zip(owners.tolist(), words, strict=True):
        shares = [min(end, b) - max(start, a) for a, b in segments]
        sharing = [index for index, share in enumerate(shares) if share > TOLERANCE_S]
        if len(sharing) == 1:
            assert owner == sharing[0]
        elif sharing:
            assert shares[owner] >= max(shares) - TOLERANCE_S
        elif owner >= 0:
            a, b = segments[owner]
            assert a - TOLERANCE_S <= (start + end) / 2 <= b + TOLERANCE_S
        else:
            assert not any(a <= (start + end) / 2 <= b for a, b in segments)
