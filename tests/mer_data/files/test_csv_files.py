"""A spreadsheet finds texts and numbers in our CSV files, and no formulas; our reader what was written."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from mer_data.files.csv_files import read_csv, to_csv, write_csv

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def written(*texts):
    """The cells as any reader of CSV finds them."""
    text = to_csv(pd.DataFrame({"id": texts, "n": range(len(texts))}))
    return [row[0] for row in csv.reader(io.StringIO(text, newline=""))][1:]


@pytest.mark.parametrize("first", DANGEROUS)
def test_a_formula_gets_an_apostrophe(first):
    assert written(f"{first}x") == [f"'{first}x"]


def test_a_link_of_a_hostile_id_is_text():
    assert written('=HYPERLINK("http://x.example";"y")$_$1') == ['\'=HYPERLINK("http://x.example";"y")$_$1']


@pytest.mark.parametrize("text", ["va$_$1", "", "'", "'s", "a=b", " =1", "1.5", "#"])
def test_other_texts_stay(text):
    assert written(text, "x") == [text, "x"]


def test_an_apostrophe_before_a_formula_is_kept_apart_from_ours():
    assert written("'=1", "''-") == ["''=1", "'''-"]


def test_numbers_stay_numbers(tmp_path):
    table = pd.DataFrame(
        {
            "a": [-1.5, np.nan],
            "b": [-3, 4],
            "c": pd.array([-1, pd.NA], dtype="Int64"),
            "d": [True, False],
            "mixed": [-1.0, "-x"],
        }
    )
    assert to_csv(table) == "a,b,c,d,mixed\n-1.5,-3,-1,True,-1.0\n,4,,False,'-x\n"
    write_csv(table, tmp_path / "t.csv", float_format="%.2f")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"a,b,c,d,mixed\n-1.50,-3,-1,True,-1.0")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
        | st.text("'=+-@\t\r x", min_size=1, max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_every_text_comes_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    table = pd.DataFrame({"id": [f"{text}$" for text in texts], "score": np.arange(len(texts)) / 4})
    write_csv(table, path)
    assert_frame_equal(read_csv(path), table, check_dtype=False)
    assert not any(cell.startswith(DANGEROUS) for cell in pd.read_csv(path, keep_default_na=False)["id"])


def test_words_that_pandas_takes_for_nothing_come_back(tmp_path):
    table = pd.DataFrame({"token": ["nan", "null", "NA"], "n": [1, 2, 3]})
    write_csv(table, tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv")["token"].tolist() == ["nan", "null", "NA"]
    assert list(read_csv(tmp_path / "t.csv", ["n"])) == ["n"]
