"""What a source has beside what is published."""

from pathlib import Path

import pandas as pd
import pytest

from mer_data.errors import SourceError
from mer_data.sources.catalogue import Expected
from mer_data.sources.folds import PublishedCount, videos_without_labels

EXPECTED = Expected(videos=2, segments=4, folds={"train": 3, "test": 1})


def counted(*rows):
    count = PublishedCount()
    count.add(pd.DataFrame(rows, columns=["video_id", "fold"]))
    return count


def test_equal_counts_are_as_published():
    line = counted(("a", "train"), ("a", "train"), ("a", "train"), ("b", "test")).compare(EXPECTED)
    assert line == "As published: 2 videos, 4 segments, 3 in train, 1 in test."


def test_what_differs_is_said():
    line = counted(("a", "train"), ("b", "test"), ("b", "none")).compare(EXPECTED)
    assert line == (
        "Differs from what is published: 3 segments (published: 4), 1 in train (published: 3),"
        " 1 in no fold (published: 0)."
    )


def test_videos_of_the_folds_without_labels_are_listed():
    dropped = videos_without_labels({"a": "train", "b": "test", "c": "test"}, ["a", "b", "x"], Path("labels"))
    assert [(drop.id, drop.reason) for drop in dropped] == [
        ("c", "a video of the standard folds without labels")
    ]


def test_most_videos_without_labels_are_another_corpus():
    with pytest.raises(
        SourceError, match=r"2 of the 3 videos of the standard folds have no labels in labels"
    ):
        videos_without_labels({"a": "train", "b": "test", "c": "test"}, ["a", "x"], Path("labels"))
