import json

import h5py
import numpy as np
import pytest
from builders import (
    Video,
    counting_frames,
    files_below,
    make_csd_folder,
    open_csd,
    with_video,
    write_csd,
)

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import open_source


def assert_refused(tmp_path, folder, message):
    """Opening or building fails in one clear line, and no file is left behind."""
    with pytest.raises(SourceError, match=message) as caught:
        build_store(open_source("sample", folder), tmp_path / "out" / "s.h5", alignment="unaligned")
    assert "\n" not in str(caught.value)
    if (tmp_path / "out").exists():
        assert files_below(tmp_path / "out") == []


@pytest.mark.parametrize("label", [3.2, -3.0001, np.nan, np.inf])
def test_a_label_out_of_range_names_the_utterance(tmp_path, label):
    folder = make_csd_folder(tmp_path / "raw", with_video(labels=[1.0, label]))
    assert_refused(
        tmp_path, folder, r"label of utterance va\$_\$2 is out of range in .*labels\.csd: found .*\[-3, 3\]"
    )


@pytest.mark.parametrize("name", ["labels.csd", "words.csd", "tone.csd", "face.csd"])
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_truncated_file_is_refused(tmp_path, name, kept):
    folder = make_csd_folder(tmp_path / "raw")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * kept)])
    assert_refused(tmp_path, folder, rf"the computational sequence is truncated in .*{name}")


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    folder = make_csd_folder(tmp_path / "raw")
    (folder / "face.csd").write_text("<html>")
    assert_refused(tmp_path, folder, r"a web page, not a source file in .*face\.csd\. Download it again")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels.csd", r"no labels file in .* one of the roots Sample Labels"),
        ("tone.csd", r"no audio file in .* one of the roots Sample Tone"),
        ("face.csd", r"no vision file in .* one of the roots Sample Face"),
        ("words.csd", r"neither words nor transcripts"),
        ("folds.json", r"cannot read the folds"),
    ],
)
def test_a_missing_role_is_refused(tmp_path, name, message):
    folder = make_csd_folder(tmp_path / "raw")
    (folder / name).unlink()
    assert_refused(tmp_path, folder, message)


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "raw").mkdir()
    assert_refused(
        tmp_path,
        tmp_path / "raw",
        r"no labels file in .*found no file at all.* --source with the folder of Generated",
    )


def test_no_folder_is_refused(tmp_path):
    assert_refused(tmp_path, tmp_path / "raw", r"no source: found .*raw.* or run `mer-data sample` first")


def test_folds_of_which_most_videos_have_no_labels_are_of_another_corpus(tmp_path):
    folds = {"train": ["va", "ghost"], "valid": ["spirit"], "test": ["phantom"]}
    message = r"3 of the 4 videos of the standard folds have no labels .*expected at least 50% .*--dataset"
    assert_refused(tmp_path, make_csd_folder(tmp_path / "raw", folds=folds), message)


def test_a_video_in_two_folds_is_refused(tmp_path):
    folds = {"train": ["va", "vb"], "valid": ["vb"], "test": ["vc"]}
    assert_refused(
        tmp_path, make_csd_folder(tmp_path / "raw", folds=folds), r"video vb is in two folds \(train, valid\)"
    )


def test_damaged_folds_are_refused(tmp_path):
    folder = make_csd_folder(tmp_path / "raw", folds=None)
    (folder / "folds.json").write_text(json.dumps({"train": ["va"]}) + "}")
    assert_refused(tmp_path, folder, "folds are not JSON")


def test_a_transcript_twice_is_refused(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "A"})
    text = (folder / "transcripts.csv").read_text()
    (folder / "transcripts.csv").write_text(text * 2)
    with pytest.raises(SourceError, match=r"segment va_1 stands twice in .*transcripts\.csv, line 2"):
        open_csd(folder, transcripts="transcripts.csv")


def test_videos_of_different_width_are_refused(tmp_path):
    folder = make_csd_folder(tmp_path / "raw")
    content = {"va": counting_frames(150, 50.0, 3), "vb": counting_frames(150, 50.0, 4)}
    write_csd(folder / "tone.csd", "Sample Tone", content)
    assert_refused(tmp_path, folder, r"audio features are not numbers of one width in .*tone\.csd, video vb")


@pytest.mark.parametrize(("name", "root"), [("tone.csd", "Sample Tone"), ("labels.csd", "Sample Labels")])
def test_features_that_are_no_numbers_are_refused(tmp_path, name, root):
    folder = make_csd_folder(tmp_path / "raw")
    texts = (np.array([["a"], ["b"]], "S1"), [(0, 1), (1.25, 2.25)])
    write_csd(folder / name, root, {"va": texts, "vb": texts, "vc": texts})
    assert_refused(tmp_path, folder, r"features are not numbers of one width .* found 1 columns of \|S1")


def test_a_video_without_intervals_is_refused_without_a_half_written_store(tmp_path):
    folder = make_csd_folder(tmp_path / "raw")
    with h5py.File(folder / "tone.csd", "r+") as file:
        del file["Sample Tone/data/vc/intervals"]
    assert_refused(tmp_path, folder, r"cannot read features and intervals .*tone\.csd, video vc")


@pytest.mark.parametrize("videos", [{}, {"va": Video([1.0], [(1.0, 0.5)])}])
def test_a_corpus_without_utterances_is_refused(tmp_path, videos):
    folds = {"train": list(videos), "valid": [], "test": []}
    folder = make_csd_folder(tmp_path / "raw", videos, folds=folds)
    if not videos:
        for name, root in (("labels", "Sample Labels"), ("words", "words")):
            with h5py.File(folder / f"{name}.csd", "r+") as file:
                file.require_group(f"{root}/data")
        for name, root in (("tone", "Sample Tone"), ("face", "Sample Face")):
            write_csd(folder / f"{name}.csd", root, {"va": counting_frames(9, 50.0, 2)})
    assert_refused(tmp_path, folder, r"the source has no utterances in .*labels\.csd")
