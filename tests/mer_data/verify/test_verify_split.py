"""Split manifests against their store."""

import h5py
import pytest

from mer_data.splits import standard_split
from mer_data.store import FeatureStore
from mer_data.verify import verify, verify_split


@pytest.fixture
def split(dataset):
    return dataset / "splits/standard.json"


@pytest.fixture
def found(dataset):
    """Findings on a split beside the stores of the dataset, by check."""

    def run(path):
        with_stores = [FeatureStore.open(store) for store in sorted((dataset / "store").glob("*.h5"))]
        findings = verify_split(path, with_stores)
        for store in with_stores:
            store.close()
        return {finding.check: finding for finding in findings}

    return run


def test_an_intact_split_has_notes_only(split, found):
    findings = found(split)
    assert {finding.level for finding in findings.values()} <= {"note", "warning"}
    assert findings["sizes"].message == "train 16, valid 8, test 8, dropped 0"
    assert findings["class-shares"].message.startswith("test: negative 50.0%, neutral 12.5%")
    assert {f.check for f in findings.values() if f.level == "warning"} <= {"class-absent"}


def move(source, target, name):
    def change(value):
        value["splits"][source].remove(name)
        if target:
            value["splits"][target].append(name)

    return change


def set_key(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


EDITS = {
    "other store": (set_key("utterance_digest", value="sha256:0"), "store-digest", "error"),
    "unknown utterance": (set_key("splits", "test", value=["other$_$1"]), "ids-present", "error"),
    "in two folds": (
        lambda value: value["splits"]["test"].append(value["splits"]["train"][0]),
        "disjoint",
        "error",
    ),
    "in a fold and dropped": (
        lambda value: value["dropped"].append({"id": value["splits"]["train"][0], "reason": "why not"}),
        "disjoint",
        "error",
    ),
    "newer version": (set_key("version", value=9), "loads", "error"),
    "unknown key": (set_key("note", value="x"), "loads", "error"),
    "empty fold": (set_key("splits", "valid", value=[]), "loads", "error"),
    "forgotten utterance": (move("train", None, "sample000$_$1"), "coverage", "warning"),
    "other shift": (
        set_key("shift", "word_label_divergence_bits", "this_split", value=0.5),
        "shift",
        "warning",
    ),
    "impossible shift": (set_key("shift", "min_count", value="x"), "shift", "warning"),
    "moved utterance": (move("train", "test", "sample000$_$1"), "shift", "warning"),
    "one speaker in two folds": (move("train", "test", "sample000$_$1"), "speaker-overlap", "note"),
    "other dataset": (set_key("dataset", value="mosi"), "dataset", "warning"),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_found(split, found, edit_json, name):
    change, check, level = EDITS[name]
    findings = found(edit_json(split, change))
    assert findings[check].level == level
    if level != "error":
        assert not [finding for finding in findings.values() if finding.level == "error"]


def test_ids_that_are_absent_are_named(split, found, edit_json):
    path = edit_json(split, set_key("splits", "test", value=["other$_$1"]))
    assert found(path)["ids-present"].ids == ("other$_$1",)


def test_what_is_no_json_is_told(split, found):
    split.write_text("{")
    assert found(split)["loads"].level == "error"


def test_equal_texts_on_both_sides_are_noted(dataset, set_strings, seal, found):
    path = dataset / "store/unaligned.h5"
    (dataset / "store/aligned.h5").unlink()
    store = FeatureStore.open(path)
    texts, ids = store.utterances["text"].tolist(), store.utterances["id"].tolist()
    store.close()
    texts[30] = texts[0].upper() + "!"
    texts[31] = texts[1] = "so it goes"  # too short to count
    with h5py.File(path, "r+") as file:
        set_strings(file, "utterances/text", texts)
    seal(path)
    store = FeatureStore.open(path)
    split = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
    store.close()
    split.save(dataset / "splits/standard.json")
    assert found(dataset / "splits/standard.json")["near-duplicates"].ids == (ids[30],)


def test_a_split_without_any_store_belongs_to_none(split):
    (finding,) = verify_split(split, [])
    assert (finding.level, finding.check) == ("error", "store-digest")
    assert "belongs to no store present" in finding.message


def test_a_split_elsewhere_is_checked_against_the_workspace(dataset, tmp_path):
    path = (dataset / "splits/standard.json").rename(tmp_path / "cited.json")
    assert verify(path).num("error") == 0


def test_a_damaged_store_is_told(dataset, split, found):
    (dataset / "store/aligned.h5").unlink()
    path = dataset / "store/unaligned.h5"
    with h5py.File(path, "r") as file:
        place = file["utterances/text_values"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert found(split)["store"].level == "error"
