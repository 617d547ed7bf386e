"""Predictions as CSV and Parquet, whatever the ids of the store are."""

import numpy as np
import pandas as pd
import pytest

from cider.prediction.chosen_tau import Tau
from cider.prediction.predictions import Predictions, write_predictions
from mer_data.files.csv_files import read_csv

IDS = ('=HYPERLINK("http://x.example")$_$1', "@va$_$1", "-vb$_$2", "vc$_$3")


@pytest.fixture
def predictions():
    scores = np.array([[0.5, 0.2, 0.3], [-0.1, 0.6, 0.1], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])
    return Predictions(IDS, ("negative", "neutral", "positive"), scores, None, scores, Tau(0.0, "given"))


def test_csv_has_no_formula_and_gives_the_ids_back(predictions, tmp_path):
    write_predictions(predictions, tmp_path / "p.csv")
    cells = pd.read_csv(tmp_path / "p.csv")
    assert cells["id"].tolist() == [f"'{name}" for name in IDS[:3]] + ["vc$_$3"]
    assert cells["p_negative"].tolist() == [0.5, -0.1, 0.1, 1.0]
    assert read_csv(tmp_path / "p.csv")["id"].tolist() == list(IDS)


def test_parquet_has_the_ids_as_they_are(predictions, tmp_path):
    write_predictions(predictions, tmp_path / "p.parquet")
    assert pd.read_parquet(tmp_path / "p.parquet")["id"].tolist() == list(IDS)
