"""MMSA's clip numbers as segment numbers."""

from pathlib import Path

import pytest

from mer_data.errors import SourceError
from mer_data.sources import load_source_manifest
from mer_data.sources.clip_ids import ClipNumbers

TABLE = Path("label.csv")
CLIPS = ClipNumbers({"va": [10, 13, 3], "vb": [0, None, 2]})


def test_clips_become_their_segments():
    pairs = [("va", 3), ("va", 10), ("vb", 0), ("vb", 2)]
    assert CLIPS.to_segments(pairs, TABLE) == [3, 1, 1, 3]


def test_a_clip_of_no_segment_is_named():
    with pytest.raises(
        SourceError, match=r"2 of 3 clip ids are of no segment .*label\.csv: found va clip 4, vx clip 1"
    ):
        CLIPS.to_segments([("va", 4), ("va", 3), ("vx", 1)], TABLE)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("va", 10), ("va", 13), ("va", 3), ("vb", 0)], True),
        ([("va", 1), ("va", 2), ("va", 3), ("vb", 1)], False),  # our own numbers, as in an export
        ([("vx", 1), ("vy", 2)], False),  # of another corpus
        ([("va", 3)], True),  # may be both; the files are MMSA's
    ],
)
def test_numbers_are_told_by_what_they_can_be(pairs, expected):
    assert CLIPS.are_clips(pairs) is expected


def test_mosei_has_clip_numbers_and_mosi_numbers_segments():
    mosei = ClipNumbers.from_manifest(load_source_manifest("mosei"))
    assert mosei is not None
    assert len(mosei.segments) == 22_856
    assert ClipNumbers.from_manifest(load_source_manifest("mosi")) is None


def test_a_missing_file_is_told():
    manifest = load_source_manifest("mosei").model_copy(update={"clip_ids": "absent.json"})
    with pytest.raises(SourceError, match=r"cannot read the clip numbers .*absent\.json"):
        ClipNumbers.from_manifest(manifest)
