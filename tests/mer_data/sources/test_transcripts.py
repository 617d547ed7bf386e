import pytest

from mer_data.errors import SourceError
from mer_data.sources.transcripts import read_transcripts


def write(folder, text):
    path = folder / "transcripts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_text_by_video_and_segment(tmp_path):
    path = write(tmp_path, '"a_b_1","HI, YOU",0,1\n\n"a_b_12","SAID ""NO""",0,0\nc_2,plain\n')
    assert read_transcripts(path) == {
        ("a_b", 1): "HI, YOU",
        ("a_b", 12): 'SAID "NO"',
        ("c", 2): "plain",
    }


@pytest.mark.parametrize(
    "line", ["a_1", "a1,text", "_1,text", "a_x,text", "a_,text", "a_\N{SUPERSCRIPT TWO},t"]
)
def test_a_broken_line_is_told_by_number(tmp_path, line):
    with pytest.raises(SourceError, match=r"not a transcript line in .*\.csv, line 2: found .*, expected"):
        read_transcripts(write(tmp_path, f"ok_1,fine\n{line}\n"))


@pytest.mark.parametrize("again", ["a_1", "a_01"])
def test_a_key_that_stands_twice_is_told(tmp_path, again):
    with pytest.raises(SourceError, match=rf"segment {again} stands twice in .* line 3"):
        read_transcripts(write(tmp_path, f"a_1,x\na_2,x\n{again},y\n"))


def test_files_of_excel_are_read(tmp_path):
    """With a byte-order mark, and lines that end as on Windows."""
    path = write(tmp_path, b'\xef\xbb\xbfa_1,hi\r\na_2,"two\r\nlines"\r\n')
    assert read_transcripts(path) == {("a", 1): "hi", ("a", 2): "two\r\nlines"}


def test_segments_from_0_are_told(tmp_path):
    with pytest.raises(
        SourceError, match=r"segment a_0 is counted from 0 in .*line 1: expected segments from 1"
    ):
        read_transcripts(write(tmp_path, "a_0,x\na_1,y\n"))


@pytest.mark.parametrize("key", ["a_" + "9" * 5000, "a_\N{ARABIC-INDIC DIGIT ONE}", "a\x00b_1"])
def test_keys_that_no_corpus_has_are_told(tmp_path, key):
    with pytest.raises(SourceError, match=r"not a transcript line|cannot read the transcripts") as caught:
        read_transcripts(write(tmp_path, f"{key},text\n"))
    assert len(str(caught.value)) < 500


def test_another_encoding_is_told_with_the_remedy(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the transcripts .* Save them as UTF-8"):
        read_transcripts(write(tmp_path, "a_1,text\n".encode("utf-16")))


def test_unreadable_files_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*No such file"):
        read_transcripts(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*codec"):
        read_transcripts(write(tmp_path, b"a_1,caf\xe9\n"))
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*field larger"):
        read_transcripts(write(tmp_path, "a_1," + "x" * 200_000))
