import h5py
import numpy as np
import pytest
from builders import (
    counting_frames,
    make_csd_folder,
    make_words,
    open_csd,
    small_corpus,
    with_video,
    write_csd,
)

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import open_source
from mer_data.sources.catalogue import FeatureSet

OTHER_AUDIO = FeatureSet(role="audio", name="other", roots=("Other Audio",), columns=(2, 0))


def block_of(source, video="va"):
    return next(block for block in source.blocks() if block.frame["video_id"].eq(video).any())


def words_of(block):
    return [row["token"].tolist() for row in (block.words[i] for i in range(len(block)))]


# --- what is read ---


def test_one_block_per_video_with_ids_labels_times_and_folds(tmp_path):
    source = open_csd(make_csd_folder(tmp_path, dict(reversed(small_corpus().items()))))
    blocks = list(source.blocks())
    assert source.num_blocks == len(blocks) == 3
    assert [block.frame["video_id"].iloc[0] for block in blocks] == ["va", "vb", "vc"]
    frame = blocks[0].frame
    assert frame["id"].tolist() == ["va$_$1", "va$_$2"]
    assert frame["segment"].tolist() == [1, 2]
    assert frame["start_s"].tolist() == [0.0, 1.25]
    assert frame["end_s"].tolist() == [1.0, 2.25]
    assert frame["label"].tolist() == [1.0, -2.0]
    assert frame["label"].dtype == np.float32
    assert [block.frame["fold"].unique().tolist() for block in blocks] == [["train"], ["valid"], ["test"]]


def test_text_is_an_utterances_own_words_where_there_are_no_transcripts(tmp_path):
    block = block_of(open_csd(make_csd_folder(tmp_path)))
    assert block.frame["text"].tolist() == ["good film", "bad plot indeed"]
    assert words_of(block) == [["good", "film"], ["bad", "plot", "indeed"]]
    assert block.words[0]["start_s"].tolist() == [0.0, 0.5]
    assert block.words[0]["end_s"].tolist() == [0.5, 1.0]


def test_transcripts_win_and_a_missing_one_is_counted(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "GOOD, FILM", "zz_9": "other"})
    source = open_csd(folder, transcripts="transcripts.csv")
    block = block_of(source)
    assert block.frame["text"].tolist() == ["GOOD, FILM", ""]
    assert block.counts["utterances_without_transcript"] == 1
    assert words_of(block) == [["good", "film"], ["bad", "plot", "indeed"]]


def test_transcripts_serve_without_a_words_file(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "A", "va_2": "B"})
    (folder / "words.csd").unlink()
    block = block_of(open_csd(folder, transcripts="transcripts.csv"))
    assert block.words is None
    assert block.frame["text"].tolist() == ["A", "B"]
    with pytest.raises(SourceError, match=r"neither words nor transcripts in .* Add the words \.csd file"):
        open_csd(folder)


def test_every_file_read_is_listed(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "A"})
    write_csd(folder / "unknown.csd", "Something Else", {"va": ([[1.0]], [(0, 1)])})
    names = {path.name for path in open_csd(folder, transcripts="transcripts.csv").files}
    assert names == {"labels.csd", "words.csd", "tone.csd", "face.csd", "folds.json", "transcripts.csv"}
    names = {path.name for path in open_csd(folder).files}
    assert names == {"labels.csd", "words.csd", "tone.csd", "face.csd", "folds.json"}


def test_roles_go_by_root_name_not_by_file_name(tmp_path):
    folder = make_csd_folder(tmp_path)
    (folder / "labels.csd").rename(folder / "x.csd")
    (folder / "words.csd").rename(folder / "labels.csd")
    (folder / "x.csd").rename(folder / "words.csd")
    with h5py.File(folder / "tone.csd", "r+") as file:
        file.move("Sample Tone", "sample_TONE")
    block = block_of(open_csd(folder))
    assert block.frame["label"].tolist() == [1.0, -2.0]
    assert block.frame["text"].tolist() == ["good film", "bad plot indeed"]
    assert block.streams["audio"].values.shape[1] == 3


def test_silence_markers_are_removed_and_counted(tmp_path):
    words = [("sp", 0.0, 0.1), *make_words("good film", 0.1, 1.0), ("sp", 1.0, 1.2), ("spy", 1.3, 1.5)]
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(words=words))))
    assert words_of(block) == [["good", "film"], ["spy"]]
    assert block.counts["silence_markers_removed"] == 2


def test_words_between_segments_are_left_out_and_counted(tmp_path):
    words = [("in", 0.2, 0.4), ("between", 1.05, 1.2), ("after", 8.0, 9.0)]
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(words=words))))
    assert words_of(block) == [["in"], []]
    assert block.frame["text"].tolist() == ["in", ""]
    assert block.counts["words_outside_all_segments"] == 2


def test_words_of_overlapping_segments_are_not_mixed(tmp_path):
    segments = [(0.0, 2.0), (1.5, 3.0)]
    words = [*make_words("one two three four", 0, 2), *make_words("five six", 2, 3)]
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(segments=segments, words=words))))
    assert words_of(block) == [["one", "two", "three", "four"], ["five", "six"]]
    transcripts = {"va_1": "ONE TWO THREE", "va_2": "FOUR FIVE SIX"}
    folder = make_csd_folder(
        tmp_path / "t", with_video(segments=segments, words=words), transcripts=transcripts
    )
    block = block_of(open_csd(folder, transcripts="transcripts.csv"))
    assert words_of(block) == [["one", "two", "three"], ["four", "five", "six"]]


def test_words_are_told_in_the_order_of_time(tmp_path):
    words = list(reversed(make_words("good film was", 0, 1)))
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(words=words))))
    assert block.frame["text"].iloc[0] == "good film was"


def test_segments_out_of_time_order_keep_their_place_in_the_label_file(tmp_path):
    video = with_video(segments=[(1.25, 2.25), (0.0, 1.0)])
    block = block_of(open_csd(make_csd_folder(tmp_path, video)))
    assert block.frame["id"].tolist() == ["va$_$1", "va$_$2"]
    assert block.frame["start_s"].tolist() == [1.25, 0.0]
    assert block.frame["text"].tolist() == ["bad plot indeed", "good film"]
    assert block.streams["audio"][1][0, 0] == 0.0


def test_a_segment_without_length_is_kept(tmp_path):
    video = with_video(segments=[(0.0, 1.0), (0.5, 0.5)], words=make_words("good film", 0, 1))
    block = block_of(open_csd(make_csd_folder(tmp_path, video)))
    assert block.frame["id"].tolist() == ["va$_$1", "va$_$2"]
    assert block.dropped == []
    assert words_of(block) == [["good", "film"], []]
    assert block.streams["audio"].lengths.tolist() == [50, 0]


@pytest.mark.parametrize("interval", [(2.0, 1.25), (np.nan, 1.0), (0.0, np.inf)])
def test_an_interval_that_does_not_run_forward_is_dropped_with_its_reason(tmp_path, interval):
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(segments=[interval, (0.0, 1.0)]))))
    assert block.frame["id"].tolist() == ["va$_$2"]
    assert block.frame["text"].tolist() == ["good film"]
    assert [drop.id for drop in block.dropped] == ["va$_$1"]
    assert block.dropped[0].reason == f"interval [{interval[0]}, {interval[1]}] does not run forward"


def test_a_video_in_no_fold_says_so(tmp_path):
    folder = make_csd_folder(tmp_path, folds={"train": ["va"], "valid": ["vb"], "test": []})
    assert block_of(open_csd(folder), "vc").frame["fold"].tolist() == ["none", "none"]


@pytest.mark.parametrize("label", [3.0, -3.0, 0.0])
def test_labels_at_the_border_are_in_range(tmp_path, label):
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(labels=[label, 0.0]))))
    assert block.frame["label"].tolist() == [label, 0.0]


def test_a_video_whose_segments_are_all_dropped_does_not_stop_the_others(tmp_path):
    folder = make_csd_folder(tmp_path / "raw", with_video(labels=[1.0], segments=[(1.0, 0.5)]))
    report = build_store(open_source("sample", folder), tmp_path / "s.h5", alignment="unaligned")
    assert report.num_utterances == 4
    assert [drop.id for drop in report.dropped] == ["va$_$1"]


# --- audio and vision ---


def test_frames_of_a_segment_have_their_times(tmp_path):
    block = block_of(open_csd(make_csd_folder(tmp_path)))
    audio, times = block.streams["audio"], block.frame_times["audio"]
    assert audio[0][:, 0].tolist() == list(range(50))
    assert audio[1][:, 0].tolist() == list(range(62, 113))  # the frames that 1.25 s and 2.25 s cut count
    np.testing.assert_allclose(times[50], [1.24, 1.26], rtol=1e-6)
    assert times.shape == (101, 2)
    assert audio.values.dtype == np.float32
    assert block.streams["vision"].lengths.tolist() == [30, 31]


def test_overlapping_segments_share_frames(tmp_path):
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(segments=[(0.0, 1.0), (0.8, 1.2)]))))
    assert block.streams["audio"][0][:, 0].tolist() == list(range(50))
    assert block.streams["audio"][1][:, 0].tolist() == list(range(40, 60))


def test_a_word_that_crosses_the_border_brings_its_frames(tmp_path):
    words = [("good", 0.2, 1.1), ("plot", 1.2, 1.5)]
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(words=words))))
    assert block.streams["audio"][0][:, 0].tolist() == list(range(55))
    assert block.streams["audio"][1][0, 0] == 60.0


def test_a_video_without_audio_has_empty_rows(tmp_path):
    block = block_of(open_csd(make_csd_folder(tmp_path, with_video(audio=None))))
    assert block.streams["audio"].lengths.tolist() == [0, 0]
    assert block.streams["audio"].values.shape == (0, 3)
    assert block.frame_times["audio"].shape == (0, 2)
    assert block.streams["vision"].lengths.tolist() == [30, 31]


def test_names_of_columns_come_from_the_file_or_are_made(tmp_path):
    folder = make_csd_folder(tmp_path)
    assert open_csd(folder).streams["audio"].columns == ("pitch", "energy", "noise")
    assert open_csd(folder).streams["audio"].name == "tone"
    assert open_csd(folder).streams["audio"].frame_rate_hz == 12.5
    write_csd(folder / "tone.csd", "Sample Tone", {"va": counting_frames(9, 50.0, 3)}, ["one name"])
    assert open_csd(folder).streams["audio"].columns == ("tone_0", "tone_1", "tone_2")


def with_other_audio(folder):
    write_csd(
        folder / "other.csd", "Other Audio", {"va": counting_frames(150, 50.0, 4)}, ["p", "q", "r", "s"]
    )
    return folder


def test_columns_of_the_manifest_are_taken_in_its_order(tmp_path):
    folder = with_other_audio(make_csd_folder(tmp_path))
    (folder / "tone.csd").unlink()
    source = open_csd(folder, features=(OTHER_AUDIO,))
    assert source.streams["audio"].columns == ("r", "p")
    assert block_of(source).streams["audio"][0][:2].tolist() == [[2000.0, 0.0], [2001.0, 1.0]]


def test_columns_that_the_file_lacks_are_told(tmp_path):
    folder = make_csd_folder(tmp_path)
    (folder / "tone.csd").unlink()
    write_csd(folder / "other.csd", "Other Audio", {"va": counting_frames(9, 50.0, 2)})
    source = open_csd(folder, features=(OTHER_AUDIO,))
    with pytest.raises(
        SourceError, match=r"'other' lacks columns in .*found 2 columns, expected more than 2"
    ):
        _ = source.streams


def test_several_audio_sets_need_a_choice(tmp_path):
    folder = with_other_audio(make_csd_folder(tmp_path))
    with pytest.raises(
        SourceError,
        match=r"several audio files in .*other\.csd .root 'Other Audio', 1 videos, 150 rows in the first, 4"
        r" columns.; .*tone\.csd .*Choose one by --audio NAME or PATH",
    ):
        open_csd(folder, features=(OTHER_AUDIO,))
    chosen = open_csd(folder, files={"audio": "other"}, features=(OTHER_AUDIO,))
    assert chosen.streams["audio"].name == "other"
    assert "tone.csd" not in {path.name for path in chosen.files}
    assert open_csd(folder, files={"audio": "tone"}, features=(OTHER_AUDIO,)).streams["audio"].name == "tone"


def test_a_choice_that_is_not_there_lists_what_is(tmp_path):
    with pytest.raises(SourceError, match=r"no audio set 'other' in .*found tone\. Choose one of those"):
        open_csd(make_csd_folder(tmp_path), files={"audio": "other"}, features=(OTHER_AUDIO,))


def test_a_set_at_utterance_level_gives_one_row_for_its_own_interval(tmp_path):
    level = FeatureSet(role="audio", name="whole", roots=("Whole",), level="utterance")
    folder = make_csd_folder(tmp_path, with_video(segments=[(1.0, 2.0), (0.0, 1.0)], labels=[1, 2]))
    (folder / "tone.csd").unlink()
    rows = ([[5.0], [6.0], [7.0]], [(0.0, 1.0), (1.0, 2.0), (1.0, 1.9)])
    write_csd(folder / "whole.csd", "Whole", {"va": rows})
    block = block_of(open_csd(folder, features=(level,)))
    assert block.streams["audio"].lengths.tolist() == [1, 1]
    assert block.streams["audio"].values.tolist() == [[6.0], [5.0]]
    assert np.isinf(block.frame_times["audio"]).all()


def test_segments_of_one_interval_take_their_rows_in_turn(tmp_path):
    level = FeatureSet(role="audio", name="whole", roots=("Whole",), level="utterance")
    folder = make_csd_folder(tmp_path, with_video(segments=[(0, 1), (0, 1), (0, 1)], labels=[1, 2, 3]))
    (folder / "tone.csd").unlink()
    write_csd(folder / "whole.csd", "Whole", {"va": ([[5.0], [6.0]], [(0, 1), (0, 1)])})
    block = block_of(open_csd(folder, features=(level,)))
    assert [row.tolist() for row in (block.streams["audio"][i] for i in range(3))] == [[[5.0]], [[6.0]], []]
