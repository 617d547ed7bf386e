"""Real CMU-MOSEI labels and transcripts, and MMSA's table of them."""

import csv

import numpy as np
import pytest

from mer_data.build import build_store
from mer_data.sources import load_source_manifest, open_source
from mer_data.sources.clip_ids import ClipNumbers
from mer_data.sources.csd.csd_files import ComputationalSequence
from mer_data.store.reader import FeatureStore

FOLD_SIZES = {"train": 16_326, "valid": 1_871, "test": 4_659}


@pytest.fixture(scope="module")
def reports(mosei_folder, tmp_path_factory):
    """Builds of the table and of the folder."""
    folder = tmp_path_factory.mktemp("mosei")
    sources = {"table": mosei_folder / "label.csv", "folder": mosei_folder}
    return {
        name: build_store(
            open_source("mosei", path), folder / f"{name}.h5", alignment="unaligned", tokenizer="minilm"
        )
        for name, path in sources.items()
    }


def test_every_clip_is_the_segment_that_its_label_says(mosei_folder):
    """The rule: in a video, clip ids sorted as strings are in the official order, exceptions by label."""
    labels = ComputationalSequence(mosei_folder / "CMU_MOSEI_Labels.csd")
    clips = ClipNumbers.from_manifest(load_source_manifest("mosei"))
    with (mosei_folder / "label.csv").open(encoding="utf-8-sig", newline="") as handle:
        rows = [(row["video_id"], row["clip_id"], float(row["label"])) for row in csv.DictReader(handle)]
    assert len(rows) == len(clips.segments) == 22_856
    official = {video: labels.read(video)[0][:, 0].astype(np.float32) for video in {row[0] for row in rows}}
    by_video = {}
    for video, clip, label in rows:
        assert official[video][clips.segments[video, int(clip)] - 1] == np.float32(label), (video, clip)
        by_video.setdefault(video, []).append(clip)
    whole = [video for video, found in by_video.items() if len(found) == len(official[video])]
    assert len(whole) == 3_222
    for video in whole:
        numbers = [clips.segments[video, int(clip)] for clip in sorted(by_video[video])]
        assert numbers == list(range(1, len(numbers) + 1)), video


def test_both_are_as_published(reports):
    assert reports["table"].published == (
        "As published: 3,225 videos, 22,856 segments, 16,326 in train, 1,871 in valid, 4,659 in test."
    )
    assert reports["folder"].published == (
        "As published: 3,293 videos, 23,259 segments, 16,331 in train, 1,871 in valid, 4,662 in test,"
        " 395 in no fold."
    )


def test_the_two_videos_without_labels_and_the_segments_without_text_are_dropped(reports):
    reasons = {}
    for drop in reports["folder"].dropped:
        reasons.setdefault(drop.reason, []).append(drop.id)
    assert reasons.pop("a video of the standard folds without labels") == ["7l3BNtSE0xc", "dZFV0lyedX4"]
    assert {reason: len(ids) for reason, ids in reasons.items()} == {
        "no text, in a store of texts alone": 403
    }


def test_table_and_folder_are_one_corpus(reports):
    one, other = (FeatureStore.open(reports[name].path) for name in ("table", "folder"))
    assert one.utterance_digest == other.utterance_digest
    assert one.utterances["fold"].value_counts().to_dict() == FOLD_SIZES
    folds = [dict(zip(s.utterances["id"], s.utterances["fold"], strict=True)) for s in (one, other)]
    assert folds[0] == folds[1]


def test_no_file_of_the_folder_is_ignored_in_silence(reports, mosei_folder):
    told = {file.path.name: file.role for file in reports["folder"].files}
    assert set(told) == {path.name for path in mosei_folder.iterdir()}
    assert told["CMU_MOSEI_Labels.csv"] is None
    assert told["label.csv"] is None
