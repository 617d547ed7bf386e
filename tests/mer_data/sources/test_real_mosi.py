"""Real CMU-MOSI, from the .csd files and from the MMSA pickle: two ways, one corpus."""

import numpy as np
import pytest

from mer_data.sources import open_source
from mer_data.sources.transcripts import read_transcripts
from mer_data.tasks import TASKS

FOLD_SIZES = {"train": 1284, "valid": 229, "test": 686}


@pytest.fixture(scope="module")
def blocks(mosi_folder):
    return list(open_source("mosi", mosi_folder).blocks())


def test_both_ways_give_the_same_corpus(mosi_stores):
    csd, pickled = mosi_stores["csd"], mosi_stores["pickle"]
    assert csd.utterance_digest == pickled.utterance_digest
    one, other = (store.utterances.set_index("id") for store in (csd, pickled))
    assert len(one) == len(other) == 2199
    assert set(one.index) == set(other.index)
    other = other.loc[one.index]
    for column in ("video_id", "segment", "label", "text", "fold"):
        assert one[column].tolist() == other[column].tolist(), column
    for frame in (one, other):
        assert frame["fold"].value_counts().to_dict() == FOLD_SIZES
    for task in TASKS.values():
        for fold in FOLD_SIZES:
            counts = [
                np.bincount(
                    task.class_of(f.loc[f["fold"] == fold, "label"].to_numpy()), minlength=task.num_classes
                )
                for f in (one, other)
            ]
            assert counts[0].tolist() == counts[1].tolist()
            assert counts[0].sum() == FOLD_SIZES[fold]
    places = {name: index for index, name in enumerate(pickled.utterances["id"])}
    rows = csd.read(range(2199)), pickled.read([places[name] for name in one.index])
    for modality, width in (("audio", 73), ("vision", 100)):
        assert rows[0].streams[modality].values.shape == (2199, width)
        np.testing.assert_array_equal(rows[0].streams[modality].lengths, 1)
        np.testing.assert_array_equal(rows[0].streams[modality].values, rows[1].streams[modality].values)
    for index in range(2199):
        whole, cut = rows[0].token_ids[index], rows[1].token_ids[index]
        assert cut[:-1].tolist() == whole[: len(cut) - 1].tolist()
        assert len(cut) == min(50, len(whole))


def test_classes_of_the_standard_folds(mosi_stores):
    labels = mosi_stores["csd"].utterances["label"].to_numpy()
    assert np.bincount(TASKS["binary"].class_of(labels)).sum() == 2199
    assert (np.bincount(TASKS["seven"].class_of(labels)) > 0).all()


def test_every_word_belongs_to_one_utterance_and_no_utterance_is_mixed(blocks, mosi_folder):
    transcripts = read_transcripts(mosi_folder / "transcripts.csv")
    sequences, owned, utterances = 0, 0, 0
    for block in blocks:
        for index, row in enumerate(block.frame.itertuples()):
            text = transcripts[row.video_id, row.segment]
            assert row.text == text
            assert [w.lower() for w in block.words[index]["token"]] == text.lower().split()
            utterances += 1
        owned += len(block.words.values)
        sequences += block.counts["words_outside_all_segments"]
    assert utterances == 2199
    assert sequences == 0
    assert owned == sum(len(text.split()) for text in transcripts.values())


def test_published_oddities_are_kept(blocks):
    overlapping = lengthless = out_of_order = 0
    for block in blocks:
        times = block.frame[["start_s", "end_s"]].to_numpy()
        ordered = times[np.argsort(times[:, 0])]
        overlapping += bool((ordered[1:, 0] < ordered[:-1, 1] - 1e-5).any())
        lengthless += int((times[:, 0] == times[:, 1]).sum())
        out_of_order += bool((np.diff(times[:, 0]) < 0).any())
        assert block.dropped == []
        assert block.frame["segment"].tolist() == list(range(1, len(times) + 1))
    assert len(blocks) == 93
    assert lengthless == 1
    assert overlapping > 0
    assert out_of_order > 0
