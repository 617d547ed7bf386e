"""Class statistics and vocabularies against their store and split."""

import json
import re

import h5py
import numpy as np
import pytest

from mer_data.errors import StoreError
from mer_data.files.writing import sha256_file
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.statistics.integrity import json_digest
from mer_data.store.digests import content_digest
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify


@pytest.fixture
def statistics(dataset):
    return dataset / "statistics/unaligned.standard.binary.none.h5"


@pytest.fixture
def vocabulary(dataset):
    return dataset / "statistics/unaligned.standard.binary.vocabulary.json"


def found(path, **options):
    return {finding.check: finding.level for finding in verify(path, **options).findings}


def sealed(path, change):
    """Change a statistics file and give it the digest of its new content."""
    with h5py.File(path, "r+") as file:
        change(file)
        file.attrs["content_digest"] = content_digest(file)
    return path


@pytest.fixture
def seal_json(edit_json):
    """Change a vocabulary and give it the digest of its new content."""

    def run(path, change):
        edit_json(path, change)
        return edit_json(path, lambda value: value.update(content_digest=json_digest(value)))

    return run


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
def test_every_edit_of_statistics_is_found_by_its_digest(statistics, name):
    change, _ = STATISTICS_EDITS[name]
    with h5py.File(statistics, "r+") as file:
        change(file)
    assert found(statistics) == {"loads": "error"}


@pytest.mark.parametrize("name", STATISTICS_EDITS)
def test_every_edit_of_statistics_is_found_without_its_digest(statistics, name):
    change, check = STATISTICS_EDITS[name]
    assert found(sealed(statistics, change))[check] == "error"


def test_means_that_moved_are_found(statistics):
    """As when bytes of the file are lost: the dataset is there, and its values are zero."""
    with h5py.File(statistics, "r+") as file:
        del file["text/means"]
        file.create_dataset("text/means", shape=(3, 16), dtype="f4", fletcher32=True, chunks=(3, 16))
    assert found(statistics, make_again=True) == {"loads": "error"}


def test_statistics_of_an_older_version_are_told_with_the_command(statistics):
    def older(file):
        file.attrs["version"] = 1
        del file.attrs["content_digest"]

    with h5py.File(statistics, "r+") as file:
        older(file)
    (finding,) = verify(statistics).findings
    assert re.search(r"older version, which has no digest .*`mer-data statistics --force`$", finding.message)


@pytest.fixture
def computed(dataset):
    """Statistics of the dataset's store by the tiny text encoder."""
    from mer_data.splits import SplitManifest
    from mer_data.statistics.class_statistics import class_statistics
    from mer_data.tasks import TASKS
    from mer_data.text.encoder import load_text_encoder

    store = FeatureStore.open(dataset / "store/unaligned.h5")
    split = SplitManifest.load(dataset / "splits/standard.json")
    encoder = load_text_encoder("tiny", store.tokenizer)
    path = dataset / "statistics/unaligned.standard.binary.tiny.h5"
    class_statistics(store, split, TASKS["binary"], encoder).save(path)
    store.close()
    return path


def test_statistics_are_made_again(computed):
    assert found(computed, make_again=True) == {}


@pytest.mark.parametrize("modality", ["text", "audio", "vision"])
def test_other_means_with_a_sound_digest_are_found_by_making_them_again(computed, modality):
    sealed(computed, put(f"{modality}/means", 0.5))
    assert found(computed) == {}
    assert found(computed, make_again=True) == {"made-again": "error"}


def test_statistics_of_an_encoder_that_is_not_there_are_not_made_again(computed, monkeypatch):
    def absent(*_):
        raise StoreError("no encoder 'tiny'")

    monkeypatch.setattr("mer_data.text.encoder.load_text_encoder", absent)
    (finding,) = verify(computed, make_again=True).findings
    assert finding.level == "note"
    assert finding.message == "not computed again: no text encoder tiny (no encoder 'tiny')"


def test_statistics_of_other_encoder_weights_are_not_made_again(computed):
    loaded = ClassStatistics.load(computed)
    loaded.origin["text_encoder_weights"] = "others"
    loaded.save(computed)
    assert found(computed, make_again=True) == {"made-again": "warning"}


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


def first_variation(value):
    value["tokens"][0]["cv"] += 0.001


VOCABULARY_EDITS = {
    "other variation": (first_variation, "counts"),
    "other classes used": (lambda value: value["parameters"].update(classes_used=["negative"]), "parameters"),
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
def test_every_edit_of_a_vocabulary_is_found_by_its_digest(vocabulary, edit_json, name):
    change, _ = VOCABULARY_EDITS[name]
    assert found(edit_json(vocabulary, change)) == {"loads": "error"}


@pytest.mark.parametrize("name", VOCABULARY_EDITS)
def test_every_edit_of_a_vocabulary_is_found_without_its_digest(vocabulary, seal_json, name):
    change, check = VOCABULARY_EDITS[name]
    assert found(seal_json(vocabulary, change))[check] == "error"


@pytest.mark.parametrize(
    ("old", "new"),
    [("True", "False"), ("cv", "variation"), (",1,", ",2,"), ("\n", "\n\n")],
)
def test_every_edit_of_the_csv_is_found(vocabulary, old, new):
    table = vocabulary.with_suffix(".csv")
    table.write_text(table.read_text().replace(old, new, 1))
    assert found(vocabulary) == {"loads": "error"}


@pytest.mark.parametrize("column", ["count_neutral", "total", "cv", "rank", "kept", "token"])
def test_every_column_of_a_csv_with_a_sound_digest_is_counted_again(vocabulary, seal_json, column):
    table = vocabulary.with_suffix(".csv")
    header, first, *others = table.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True)) | {column: "0.5"}
    table.write_text("\n".join([header, ",".join(cells.values()), *others, ""]))
    seal_json(vocabulary, lambda value: value.update(csv_digest=sha256_file(table)))
    (finding,) = verify(vocabulary).findings
    assert finding.message.endswith(f"counting again gives other values of {column}")


def test_a_csv_that_is_not_there_is_a_warning(vocabulary):
    vocabulary.with_suffix(".csv").unlink()
    assert found(vocabulary) == {"csv": "warning"}
