"""Which file of a source folder is what."""

import shutil

import numpy as np
import pytest
from builders import counting_frames, make_csd_folder, open_csd, write_csd

from mer_data.errors import SourceError


def told(source):
    """Role and reason of every file by its name."""
    return {file.path.name: (file.role, file.reason) for file in source.listing}


def with_root(folder, name, root):
    """The folder, where the file ``name`` has another root."""
    import h5py

    with h5py.File(folder / name, "r+") as file:
        file.move(next(iter(file)), root)
    return folder


def test_every_file_has_a_role_or_a_reason(tmp_path):
    folder = make_csd_folder(tmp_path / "raw", transcripts={"va_1": "good film"})
    (folder / "notes.txt").write_text("mine")
    (folder / "numbers.csv").write_text("a,b,c\n1,2,3\n")
    (folder / "whole.pkl").write_bytes(b"\x80\x04.")
    (folder / "label.csv").write_text("video_id,clip_id,text,label,mode\nva,1,good film,1,train\n")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "old").mkdir()
    found = told(open_csd(folder, transcripts="transcripts.csv"))
    assert {name: role for name, (role, _) in found.items() if role} == {
        "labels.csd": "labels",
        "words.csd": "words",
        "tone.csd": "audio",
        "face.csd": "vision",
        "transcripts.csv": "transcripts",
        "folds.json": "folds",
    }
    assert {name: reason for name, (role, reason) in found.items() if role is None} == {
        "notes.txt": "no kind of file that a build reads",
        "numbers.csv": "a CSV that is neither transcripts nor a table of labels (columns a, b, c)",
        "whole.pkl": "a corpus of its own; pass it as --source",
        "label.csv": "a table of labels and texts; labels come from the .csd file, or pass the table as"
        " --source",
        "old": "a folder; pass it as --source",
    }


@pytest.mark.parametrize(
    ("name", "role", "reason"),
    [
        ("words.csd", "words", "root 'Unheard Of' is unknown; its values are words"),
        ("labels.csd", "labels", "root 'Unheard Of' is unknown; its values are labels in [-3, 3]"),
        ("tone.csd", "audio", "root 'Unheard Of' is unknown; its file is named as tone"),
    ],
)
def test_a_file_with_an_unknown_root_is_known_by_its_content(tmp_path, name, role, reason):
    folder = with_root(make_csd_folder(tmp_path), name, "Unheard Of")
    source = open_csd(folder)
    assert told(source)[name] == (role, reason)
    assert sum(len(block) for block in source.blocks()) == 6


def test_frames_that_may_be_audio_or_vision_are_chosen_by_path(tmp_path):
    folder = with_root(make_csd_folder(tmp_path), "tone.csd", "Unheard Of")
    (folder / "tone.csd").rename(folder / "x.csd")
    with pytest.raises(
        SourceError, match=r"no audio file in .*x\.csd .*3 columns of numbers may be audio or vision"
    ):
        open_csd(folder)
    chosen = open_csd(folder, files={"audio": "x.csd"})
    assert chosen.streams["audio"].columns == ("pitch", "energy", "noise")
    assert told(chosen)["x.csd"] == ("audio", "chosen by path")


def test_a_known_root_comes_before_content(tmp_path):
    folder = make_csd_folder(tmp_path)
    shutil.copy(folder / "words.csd", folder / "zz.csd")
    with_root(folder, "zz.csd", "Unheard Of")
    reason = "words (root 'Unheard Of' is unknown; its values are words); words are read from words.csd"
    assert told(open_csd(folder))["zz.csd"] == (None, reason)


def test_two_files_of_one_role_are_listed_with_what_tells_them_apart(tmp_path):
    folder = make_csd_folder(tmp_path)
    other = {"va": (np.array([["so"]], "S2"), np.array([[0.0, 1.0]]))}
    write_csd(folder / "more.csd", "words", other)
    with pytest.raises(
        SourceError,
        match=r"several words files .*more\.csd .root 'words', 1 videos, 1 rows in the first, 1 columns.; "
        r".*words\.csd .root 'words', 3 videos, 5 rows .*Choose one by --words PATH",
    ):
        open_csd(folder)
    assert told(open_csd(folder, files={"words": str(folder / "more.csd")}))["more.csd"][0] == "words"


def test_a_copy_is_recognised_by_its_bytes(tmp_path):
    folder = make_csd_folder(tmp_path)
    shutil.copy(folder / "words.csd", folder / "words (1).csd")
    assert told(open_csd(folder))["words (1).csd"] == (None, "a copy of words.csd")


def test_a_chosen_file_that_is_absent_is_told(tmp_path):
    with pytest.raises(
        SourceError, match=r"no words file in .*absent\.csd. Pass --words with a file that exists"
    ):
        open_csd(make_csd_folder(tmp_path), files={"words": "absent.csd"})


def test_a_modality_can_be_left_out(tmp_path):
    folder = make_csd_folder(tmp_path)
    source = open_csd(folder, without=("vision",))
    assert list(source.streams) == ["audio"]
    assert told(source)["face.csd"] == (None, "vision, left out by --without vision")


def test_one_of_two_modalities_missing_is_an_error_until_it_is_meant(tmp_path):
    folder = make_csd_folder(tmp_path)
    (folder / "face.csd").unlink()
    with pytest.raises(
        SourceError, match=r"no vision file .*one of the roots Sample Face.* --without vision"
    ):
        open_csd(folder)
    assert list(open_csd(folder, without=("vision",)).streams) == ["audio"]


def test_labels_and_transcripts_are_a_corpus_of_texts(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "good film", "vc_2": "fine music"})
    for name in ("words.csd", "tone.csd", "face.csd"):
        (folder / name).unlink()
    source = open_csd(folder, transcripts="transcripts.csv")
    assert source.streams == {}
    assert not source.has_word_times


def test_transcripts_of_another_name_are_known_by_their_rows(tmp_path):
    folder = make_csd_folder(tmp_path, transcripts={"va_1": "good film"})
    (folder / "transcripts.csv").rename(folder / "texts.csv")
    transcripts = "transcripts.csv"
    assert told(open_csd(folder, transcripts=transcripts))["texts.csv"] == ("transcripts", "by its rows")
    (folder / "again.csv").write_text('"va_2","bad plot"\n')
    with pytest.raises(SourceError, match=r"several files of transcripts .*again\.csv .1 rows.; texts\.csv"):
        open_csd(folder, transcripts=transcripts)
    chosen = open_csd(folder, transcripts=transcripts, files={"transcripts": "again.csv"})
    assert told(chosen)["texts.csv"] == (None, "transcripts; they are read from again.csv")


def test_features_of_no_use_do_not_hide_labels(tmp_path):
    folder = make_csd_folder(tmp_path)
    write_csd(folder / "one.csd", "Loudness", {"va": counting_frames(10, 10.0, 1)})
    assert told(open_csd(folder))["one.csd"][0] is None
