"""Class statistics and vocabularies against their store and split."""

import json

import h5py
import numpy as np
import pytest

from mer_data.verify import verify


@pytest.fixture
def statistics(dataset):
    return dataset / "statistics/unaligned.standard.binary.none.h5"


@pytest.fixture
def vocabulary(dataset):
    return dataset / "statistics/unaligned.standard.binary.vocabulary.json"


def found(path):
    return {finding.check: finding.level for finding in verify(path).findings}


def test_intact_files_have_no_findings(statistics, vocabulary):
    assert found(statistics) == {}
    assert found(vocabulary) == {}


def origin(**changes):
    def change(file):
        file.attrs["origin"] = json.dumps({**json.loads(file.attrs["origin"]), **changes})

    return change


def put(name, value):
    def change(file):
        file[name][...] = value

    return change


def narrower(file):
    del file["audio/means"]
    file.create_dataset("audio/means", data=np.ones((3, 2), np.float32))


def other_counts(file):
    file["counts"][...] = file["counts"][()] + 1
    file["priors"][...] = file["counts"][()] / file["counts"][()].sum()


STATISTICS_EDITS = {
    "other store": (origin(store_content="sha256:0"), "store-digest"),
    "other split": (origin(split="sha256:0"), "split-digest"),
    "other counts": (other_counts, "counts"),
    "negative counts": (put("counts", -1), "counts"),
    "no counts": (put("counts", 0), "counts"),
    "other priors": (put("priors", [0.5, 0.25, 0.25]), "priors"),
    "NaN in a mean": (put("text/means", np.nan), "means"),
    "too many used": (put("vision/used", 99), "used"),
    "fewer used": (put("audio/used", 0), "used"),
    "other width": (narrower, "widths"),
    "other classes": (lambda file: file.attrs.modify("classes", ["bad", "so", "good"]), "classes"),
    "unknown task": (lambda file: file.attrs.modify("task", "five"), "loads"),
    "newer version": (lambda file: file.attrs.modify("version", 9), "loads"),
    "dataset missing": (lambda file: file.__delitem__("audio/means"), "loads"),
}


@pytest.mark.parametrize("name", STATISTICS_EDITS)
def test_every_edit_of_statistics_is_found(statistics, name):
    change, check = STATISTICS_EDITS[name]
    with h5py.File(statistics, "r+") as file:
        change(file)
    assert found(statistics)[check] == "error"


def test_truncated_statistics_are_told(statistics):
    statistics.write_bytes(statistics.read_bytes()[:900])
    assert found(statistics) == {"loads": "error"}


def test_statistics_of_a_rebuilt_store_belong_to_none(dataset, statistics, seal):
    with h5py.File(dataset / "store/unaligned.h5", "r+") as file:
        file["audio/values"][0, 0] = 7.0
    seal(dataset / "store/unaligned.h5")
    assert found(statistics) == {"store-digest": "error"}


def test_a_split_that_was_made_again_is_an_error_and_an_absent_one_a_warning(
    dataset, statistics, vocabulary, edit_json
):
    split = edit_json(dataset / "splits/standard.json", lambda value: value["generator"].update(seed=1))
    assert found(statistics) == found(vocabulary) == {"split-digest": "error"}
    split.unlink()
    assert found(statistics) == found(vocabulary) == {"split-digest": "warning"}


def first_token(**changes):
    return lambda value: value["tokens"][0].update(changes)


VOCABULARY_EDITS = {
    "other store": (lambda value: value["origin"].update(utterances="sha256:0"), "store-digest"),
    "other tokenizer": (lambda value: value["origin"].update(tokenizer_vocabulary="0"), "store-digest"),
    "other split": (lambda value: value["origin"].update(split="sha256:0"), "split-digest"),
    "other word": (first_token(token="qqq"), "tokens"),
    "id outside the vocabulary": (first_token(token_id=10**6), "tokens"),
    "token twice": (lambda value: value["tokens"].append(value["tokens"][0]), "tokens"),
    "other total": (first_token(total=10**6), "counts"),
    "token left out": (lambda value: value["tokens"].pop(), "counts"),
    "other parameters": (lambda value: value["parameters"].update(size=5), "counts"),
    "no parameters": (lambda value: value.pop("parameters"), "compare"),
    "other task": (lambda value: value.update(task="seven"), "counts"),
    "unknown task": (lambda value: value.update(task="five"), "loads"),
    "no tokens": (lambda value: value.pop("tokens"), "loads"),
    "newer version": (lambda value: value.update(version=9), "loads"),
}


@pytest.mark.parametrize("name", VOCABULARY_EDITS)
def test_every_edit_of_a_vocabulary_is_found(vocabulary, edit_json, name):
    change, check = VOCABULARY_EDITS[name]
    assert found(edit_json(vocabulary, change))[check] == "error"


def test_the_csv_beside_a_vocabulary_keeps_the_same_tokens(vocabulary):
    table = vocabulary.with_suffix(".csv")
    table.write_text(table.read_text().replace("True", "False", 1))
    assert found(vocabulary) == {"csv": "error"}
    table.write_text("a,b\n1,2\n")
    assert found(vocabulary) == {"csv": "error"}
    table.unlink()
    assert found(vocabulary) == {"csv": "warning"}
