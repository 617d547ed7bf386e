"""MMSA's label tables as a source of texts, labels and folds."""

import numpy as np
import pytest

from mer_data.build import build_store
from mer_data.errors import SourceError
from mer_data.sources import SourceChoices, open_source
from mer_data.store.reader import FeatureStore

HEADER = "video_id,clip_id,text,label,annotation,mode"
ROWS = (
    'va,2,"bad, really",-1.5,Negative,train',
    "va,1,good film,2,Positive,train",
    "vb,1,it was,0,Neutral,valid",
    "vc,10,dull,-0.4,Negative,test",
)


def write_table(folder, *lines, header=HEADER, encoding="utf-8", newline="\n"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "label.csv"
    path.write_bytes((newline.join([header, *lines]) + newline).encode(encoding))
    return path


def open_table(path):
    return open_source("sample", path)


def frame_of(path):
    return next(open_table(path).blocks()).frame


def test_rows_come_by_video_and_segment(tmp_path):
    frame = frame_of(write_table(tmp_path, *ROWS))
    assert frame["id"].tolist() == ["va$_$1", "va$_$2", "vb$_$1", "vc$_$10"]
    assert frame["text"].tolist() == ["good film", "bad, really", "it was", "dull"]
    assert frame["label"].tolist() == [2.0, -1.5, 0.0, np.float32(-0.4)]
    assert frame["fold"].tolist() == ["train", "train", "valid", "test"]
    assert frame["start_s"].isna().all()


def test_columns_may_stand_in_any_order_and_others_are_told(tmp_path):
    header, row = "mode,label,label_T,text,who,clip_id,video_id", "test,1,0.2,fine,me,3,va"
    source = open_table(write_table(tmp_path, row, header=header))
    assert next(source.blocks()).frame["id"].tolist() == ["va$_$3"]
    assert source.listing[0].reason == (
        "a table of 1 labels and texts; columns not used: label_T; unknown columns: 'who'"
    )


@pytest.mark.parametrize(
    ("encoding", "newline"), [("utf-8-sig", "\n"), ("utf-8", "\r\n"), ("utf-8-sig", "\r\n")]
)
def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(tmp_path, encoding, newline):
    plain = frame_of(write_table(tmp_path / "plain", *ROWS))
    assert frame_of(write_table(tmp_path / "other", *ROWS, encoding=encoding, newline=newline)).equals(plain)


def test_the_store_has_texts_alone(tmp_path):
    report = build_store(
        open_table(write_table(tmp_path, *ROWS)), tmp_path / "s.h5", alignment="unaligned", tokenizer="tiny"
    )
    store = FeatureStore.open(report.path)
    assert (report.modalities, store.modalities) == ((), ())
    assert [store.width(modality) for modality in ("audio", "vision")] == [0, 0]
    assert store.lengths("audio").tolist() == [0, 0, 0, 0]
    assert store.read([1]).streams == {}


def test_a_row_without_text_is_dropped_with_its_reason(tmp_path):
    report = build_store(
        open_table(write_table(tmp_path, *ROWS, "vd,1,  ,1,Positive,test")),
        tmp_path / "s.h5",
        alignment="unaligned",
        tokenizer="tiny",
    )
    assert [(drop.id, drop.reason) for drop in report.dropped] == [
        ("vd$_$1", "no text, in a store of texts alone")
    ]


def test_annotations_and_folds_that_contradict_are_counted(tmp_path):
    row = "03bSnISJMiM,1,good,-0.5,Positive,test"  # a training video of the SDK
    counts = next(open_source("mosi", write_table(tmp_path, row)).blocks()).counts
    assert counts["annotations_that_contradict_the_label"] == 1
    assert counts["rows_in_another_fold_than_the_sdk"] == 1


def test_a_folder_with_a_table_alone_is_the_table(tmp_path):
    write_table(tmp_path, *ROWS)
    (tmp_path / ".hidden").write_text("x")
    assert open_table(tmp_path).files == (tmp_path / "label.csv",)


def test_two_tables_need_a_choice(tmp_path):
    write_table(tmp_path, *ROWS)
    (tmp_path / "other.csv").write_text(f"{HEADER}\n{ROWS[0]}\n")
    with pytest.raises(SourceError, match=r"several tables of labels in .*label\.csv, other\.csd?v?"):
        open_table(tmp_path)


def test_choices_between_files_do_not_apply(tmp_path):
    path = write_table(tmp_path, *ROWS)
    with pytest.raises(SourceError, match=r"--words and --shift-words choose between the files of a folder"):
        open_source("mosi", path, SourceChoices({"words": "words.csd"}, shift_words=-1))


def test_an_aligned_store_of_texts_alone_can_be_built(tmp_path):
    source = open_table(write_table(tmp_path, *ROWS))
    report = build_store(source, tmp_path / "s.h5", alignment="aligned", tokenizer="tiny")
    assert FeatureStore.open(report.path).alignment == "aligned"


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("video_id,clip_id,label,mode", "va,1,0,train", r"no column 'text' in .*csv, line 1: found video_id"),
        ("va,1,good,0,Neutral,train", "va,2,bad,0,Neutral,train", r"no column 'video_id' in .* line 1"),
        (HEADER + ",text", "va,1,good,0,Neutral,train,again", r"two columns 'text'"),
        (HEADER, "va,1,good,3.5,Positive,train", r"label of video 'va', clip '1' in .*line 2: found '3.5'"),
        (HEADER, "va,1,good,nan,Positive,train", r"label of video 'va'.*found 'nan', expected a number"),
        (HEADER, "va,1,good,,Positive,train", r"label of video 'va'.*found ''"),
        (HEADER, "va,1,good,1,Positive,", r"mode of .*line 2: found '', expected train, valid or test"),
        (HEADER, "va,1,good,1,Positive,dev", r"mode of video 'va'.*found 'dev'"),
        (HEADER, "va,one,good,1,Positive,train", r"clip_id of .*found 'one', expected a whole number"),
        (HEADER, ",1,good,1,Positive,train", r"video_id of video ''"),
        (HEADER, "va,0,good,1,Positive,train", r"1 clips with number 0 in .*line 2"),
        (
            HEADER,
            "va,1,good, well,1,Positive,train",
            r"another length in .*line 2: found 7 values, expected 6",
        ),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path, header, row, message):
    with pytest.raises(SourceError, match=message):
        open_table(write_table(tmp_path, row, header=header))


def test_an_id_that_stands_twice_names_both_lines(tmp_path):
    with pytest.raises(SourceError, match=r"1 ids stand twice in .*lines 3 and 6: found va\$_\$1\. Remove"):
        open_table(write_table(tmp_path, *ROWS, "va,01,again,1,Positive,train"))


def test_a_table_of_no_rows_is_refused(tmp_path):
    with pytest.raises(SourceError, match="a table without rows"):
        open_table(write_table(tmp_path))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "label.csv"
    path.write_bytes(HEADER.encode() + b"\nva,1,\xff\xfe,1,Positive,train\n")
    with pytest.raises(SourceError, match="cannot read the table"):
        open_table(path)


def test_a_table_of_another_corpus_is_told(tmp_path):
    path = write_table(tmp_path, *ROWS)
    with pytest.raises(
        SourceError, match=r"3 of the 3 videos are in no standard fold of mosi .*'va'\. Pass the --dat"
    ):
        open_source("mosi", path)
