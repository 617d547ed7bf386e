"""Words that have the times of their neighbours."""

import numpy as np
import pytest

from mer_data.word_shift import VideoWords, find_shift

TEXTS = ("the film was good", "but the plot was not", "we saw it with friends", "they went home early")


def make_video(shift=0, texts=TEXTS, name="v"):
    """A second per word and pauses between segments; every token has the interval ``shift`` places on."""
    tokens, times, segments, now = [], [], [], 0.0
    for text in texts:
        words = text.split()
        segments.append((now, now + len(words)))
        for word in [*words, "sp"]:
            tokens.append(word)
            times.append((now, now + 1))
            now += 1
    place = np.clip(np.arange(len(tokens)) + shift, 0, len(tokens) - 1)
    tokens, kept = np.array(tokens, dtype=object), np.array(times, dtype=float)[place]
    return VideoWords(
        [f"{name}$_${i}" for i in range(1, len(texts) + 1)],
        [text.upper() + "." for text in texts],
        np.array(segments),
        tokens.tolist(),
        kept,
        tokens != "sp",
    )


def test_words_in_their_segments_are_left_alone():
    assert find_shift([make_video()]) is None


@pytest.mark.parametrize("error", [1, -1, 2])
def test_the_shift_that_mends_is_found(error):
    found = find_shift([make_video(error)])
    assert found is not None
    assert found.shift == -error
    assert found.num_as_stored < found.num_shifted
    assert found.num_segments == 4


def test_what_was_found_is_said_with_an_example():
    text = find_shift([make_video(1)]).text
    assert (
        "in 0 of 4 segments they are the transcript, and in 3 with every word moved by -1 interval (v$_$2"
        in text
    )
    assert "has the words 'but the plot was', its transcript is 'BUT THE PLOT WAS NOT.')" in text


def test_words_of_another_language_need_no_shift():
    video = make_video()
    other = VideoWords(
        video.names, ["ganz anders"] * 4, video.segments, video.tokens, video.times, video.spoken
    )
    assert find_shift([other]) is None


def test_without_transcripts_nothing_is_known():
    video = make_video(1)
    assert (
        find_shift(
            [VideoWords(video.names, [""] * 4, video.segments, video.tokens, video.times, video.spoken)]
        )
        is None
    )
