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
    with pytest.raises(SourceError, match=r"not a transcript line in .*transcripts\.csv, line 2: expected"):
        read_transcripts(write(tmp_path, f"ok_1,fine\n{line}\n"))


@pytest.mark.parametrize("again", ["a_1", "a_01"])
def test_a_key_that_stands_twice_is_told(tmp_path, again):
    with pytest.raises(SourceError, match=rf"segment {again} stands twice in .* line 3"):
        read_transcripts(write(tmp_path, f"a_1,x\na_2,x\n{again},y\n"))


def test_unreadable_files_are_told(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*No such file"):
        read_transcripts(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*codec"):
        read_transcripts(write(tmp_path, b"a_1,caf\xe9\n"))
    with pytest.raises(SourceError, match=r"cannot read the transcripts .*field larger"):
        read_transcripts(write(tmp_path, "a_1," + "x" * 200_000))
