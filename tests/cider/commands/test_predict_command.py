import io
import json

import numpy as np
import pandas as pd
import pytest

from cider.prediction.sentiment_predictor import SentimentPredictor
from mer_data.splits import SplitManifest


@pytest.fixture
def store(home):
    return home / "sample" / "store" / "unaligned.h5"


@pytest.fixture
def expected(trained_run, store):
    return SentimentPredictor.load(trained_run).predict(store)


def test_a_person_sees_some_utterances_and_what_was_found(cider, trained_run, store, expected):
    result = cider("predict", trained_run, "--store", store)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == [name for name in expected.to_frame() if not name.startswith("cf_")]
    assert lines[1].split()[:3] == [expected.ids[0], expected.predicted[0], f"{expected.factual[0, 0]:.3f}"]
    assert lines[11] == "... and 86 more"
    counts = ", ".join(f"{count} {name}" for name, count in expected.class_counts.items())
    assert lines[13:] == [
        f"96 utterances: {counts}.",
        f"tau {expected.tau.value:g}, chosen on validation by the run's evaluation; debiasing changed"
        f" {expected.num_changed} answers.",
        f"Next: cider predict {trained_run} --store {store} --out predictions.csv",
    ]


def test_a_fold_of_a_split_as_csv(cider, trained_run, home, store, expected, tmp_path):
    out = tmp_path / "test.csv"
    arguments = (
        "predict",
        trained_run,
        "--store",
        store,
        "--split",
        "standard",
        "--fold",
        "test",
        "--out",
        out,
    )
    result = cider(*arguments, "--tau", 0.25)
    assert result.exit_code == 0, result.output
    split = SplitManifest.load(home / "sample" / "splits" / "standard.json")
    table = pd.read_csv(out)
    assert table["id"].tolist() == list(split.splits["test"])
    row = expected.ids.index(table["id"][3])
    assert table["p_negative"][3] == pytest.approx(expected.factual[row, 0], abs=1e-6)
    difference = table["p_positive"] - 0.25 * table["cf_positive"]
    np.testing.assert_allclose(table["debiased_positive"], difference)
    assert "tau 0.25, given; debiasing changed" in result.stdout
    assert result.stdout.splitlines()[-1] == f"Written: {out}"


def test_listed_ids_as_parquet_told_as_json(cider, trained_run, store, expected, tmp_path):
    ids = [expected.ids[row] for row in (5, 2, 9)]
    listed, out = tmp_path / "ids.txt", tmp_path / "some.parquet"
    listed.write_text("\n".join([*ids, "", " "]), encoding="utf-8-sig")  # as Notepad writes
    result = cider("predict", trained_run, "--store", store, "--ids", listed, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert pd.read_parquet(out)["id"].tolist() == ids
    assert (told["num_utterances"], told["out"], told["tau"]) == (3, str(out), expected.tau.value)
    assert sum(told["predicted"].values()) == 3
    assert "utterances" not in told


def test_without_a_file_json_holds_the_scores(cider, trained_run, store, expected):
    result = cider("predict", trained_run, "--store", store, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["utterances"]
    assert [row["id"] for row in told] == list(expected.ids)
    assert [row["predicted"] for row in told] == expected.predicted
    for name in ("factual", "counterfactual", "debiased"):
        np.testing.assert_allclose([row[name] for row in told], getattr(expected, name), atol=1e-6)


def test_csv_to_standard_output_is_nothing_but_csv(cider, trained_run, store, expected):
    result = cider("predict", trained_run, "--store", store, "--out", "-")
    assert result.exit_code == 0, result.output
    assert pd.read_csv(io.StringIO(result.stdout))["predicted"].tolist() == expected.predicted
    assert result.stderr.startswith("96 utterances: ")


def test_files_are_replaced_only_with_force(cider, fails, trained_run, store, tmp_path):
    out = tmp_path / "kept.csv"
    out.write_text("mine", encoding="utf-8")
    line = fails(cider("predict", trained_run, "--store", store, "--out", out))
    assert f"{out} exists already. Pass --force" in line
    assert out.read_text(encoding="utf-8") == "mine"
    assert cider("predict", trained_run, "--store", store, "--out", out, "--force").exit_code == 0
    assert len(pd.read_csv(out)) == 96


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--out", "table.xlsx"),
            "cannot tell the format of table.xlsx: found .xlsx, expected .csv or .parquet",
        ),
        (("--tau", "-1"), "tau is no strength: found -1.0"),
        (("--split", "nope", "--fold", "test"), "no split 'nope'"),
    ],
)
def test_mistakes_are_one_line(cider, fails, trained_run, store, options, message):
    assert message in fails(cider("predict", trained_run, "--store", store, *options))


def test_inputs_that_do_not_fit_are_one_line(cider, fails, trained_run, home, store, tmp_path):
    aligned = home / "sample" / "store" / "aligned.h5"
    line = fails(cider("predict", trained_run, "--store", aligned))
    assert "another alignment than the run was trained with" in line
    assert "found aligned, expected unaligned" in line
    assert "no store in " in fails(cider("predict", trained_run, "--store", tmp_path / "nothing.h5"))
    assert "no training run" in fails(cider("predict", tmp_path, "--store", store))
    empty = tmp_path / "ids.txt"
    empty.write_text("\n \n", encoding="utf-8")
    assert "expected one id per line" in fails(
        cider("predict", trained_run, "--store", store, "--ids", empty)
    )
    empty.write_text("stranger$_$1\n", encoding="utf-8")
    assert "such as stranger$_$1" in fails(cider("predict", trained_run, "--store", store, "--ids", empty))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Missing option '--store'"),
        (("--store", "x.h5", "--fold", "test"), "--split and --fold go together"),
        (("--store", "x.h5", "--split", "standard"), "--split and --fold go together"),
        (("--store", "x.h5", "--out", "-", "--json"), "both print to standard output"),
    ],
)
def test_impossible_options_are_usage_errors(cider, trained_run, options, message):
    result = cider("predict", trained_run, *options)
    assert result.exit_code == 2
    assert message in result.output


def test_a_fold_and_ids_are_not_both(cider, trained_run, tmp_path):
    listed = tmp_path / "ids.txt"
    listed.write_text("a", encoding="utf-8")
    options = ("--store", "x.h5", "--split", "s", "--fold", "test", "--ids", listed)
    result = cider("predict", trained_run, *options)
    assert result.exit_code == 2
    assert "not both" in result.output
