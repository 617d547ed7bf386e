"""Intervals that are judged before they are used."""

import numpy as np
import pytest
from builders import make_csd_folder, open_csd, small_corpus, with_video

from mer_data.errors import SourceError
from mer_data.sources.csd.intervals import why_unusable


@pytest.mark.parametrize(
    ("interval", "reason"),
    [
        ((0.0, 9.0), None),
        ((5.0, 5.0), None),
        ((3.0, 700.0), "ends far beyond the last frame or word, at 60 s"),
        ((0.0, 1e9), "longer than 3600 s"),
        ((2.0, 1.0), "does not run forward"),
        ((np.nan, 1.0), "does not run forward"),
    ],
)
def test_an_interval_is_compared_with_the_frames(interval, reason):
    found = why_unusable(*interval, lambda: 60.0)
    assert found is None if reason is None else reason in found


def test_a_long_segment_without_frames_to_compare_is_kept():
    assert why_unusable(0.0, 1000.0, lambda: np.inf) is None


def test_one_impossible_end_drops_its_segment_alone(tmp_path):
    folder = make_csd_folder(tmp_path, with_video(segments=[(0.0, 1e9), (1.25, 2.25)]))
    block = next(open_csd(folder).blocks())
    assert [(drop.id, drop.reason) for drop in block.dropped] == [
        ("va$_$1", "interval [0, 1e+09] is longer than 3600 s")
    ]
    assert block.frame["id"].tolist() == ["va$_$2"]


def scaled(corpus, part, factor):
    """The corpus with the times of one part multiplied."""
    for video in corpus.values():
        if part == "labels":
            video.segments = [(a * factor, b * factor) for a, b in video.segments]
        elif part == "words":
            video.words = [(word, a * factor, b * factor) for word, a, b in video.words]
        else:
            values, times = getattr(video, part)
            setattr(video, part, (values, times * factor))
    return corpus


def test_labels_in_milliseconds_are_told(tmp_path):
    folder = make_csd_folder(tmp_path, scaled(small_corpus(), "labels", 1000))
    with pytest.raises(SourceError, match=r"labels are not in seconds in .*found a usual segment of 1000 s"):
        open_csd(folder)


@pytest.mark.parametrize("part", ["words", "audio", "vision"])
@pytest.mark.parametrize("factor", [1000, 0.001])
def test_rows_in_another_unit_than_the_labels_are_told(tmp_path, part, factor):
    folder = make_csd_folder(tmp_path, scaled(small_corpus(), part, factor))
    with pytest.raises(
        SourceError, match=rf"the times of {part} and labels are of different units in .*seconds in"
    ):
        open_csd(folder)
