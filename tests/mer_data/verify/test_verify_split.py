"""Split manifests against their store."""

import json

import h5py
import pytest
from split_edits import move, set_key

from mer_data.splits import standard_split
from mer_data.splits.shift.measure import deviations_above_random
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify, verify_split
from mer_data.verify.shift_notes import words_moved


def test_an_intact_split_has_notes_only(split, found):
    findings = found(split)
    assert {finding.level for finding in findings.values()} <= {"note", "warning"}
    assert findings["sizes"].message == "train 16, valid 8, test 8, dropped 0"
    assert findings["class-shares"].message.startswith("test: negative 50.0%, neutral 12.5%")
    assert {f.check for f in findings.values() if f.level == "warning"} <= {"class-absent"}
    assert findings["speakers"].message == "none of the 1 test videos is in training or validation"
    assert findings["mixed-sentences"].message.startswith("none (31 utterances by word times, 1 by")
    assert {"divergence", "text-probe", "vocabulary"} <= set(findings)


def test_a_searched_split_says_how_far_it_shifts(searched, found):
    findings = found(searched)
    assert not [finding for finding in findings.values() if finding.level == "error"]
    assert "shift" not in findings
    assert "make-again" not in findings
    stated = json.loads(searched.read_text())["shift"]
    bits, probe = stated["word_label_divergence_bits"], stated["text_probe"]
    assert findings["divergence"].message == (
        f"{bits['this_split']:.4f} bits (standard folds {bits['standard_folds']:.4f} bits,"
        f" random {bits['random_mean']:.4f} bits),"
        f" {deviations_above_random(stated):.1f} standard deviations of random splits above their mean"
    )
    assert f"acc2 of a bag of words: {probe['test']:.1%} (standard folds" in findings["text-probe"].message
    assert findings["length"].message == "mean words per utterance: " + ", ".join(
        f"{fold} {mean:.1f}" for fold, mean in stated["words_per_utterance"].items()
    )
    heading, _, moved = findings["words-moved"].message.partition(": ")
    assert heading == "words whose labels differ most, negative/neutral/positive % in train and valid -> test"
    assert [word.split()[0] for word in moved.split("; ")] == [
        entry["word"] for entry in stated["top_words"][:8]
    ]


def test_a_word_that_moved_stands_with_its_label_shares_on_both_sides():
    labels = {"rest_shares": {"negative": 0.25, "neutral": 0.0, "positive": 0.75}}
    words = [
        {"word": "movie", "divergence_bits": 0.123, "num_rest": 8, "num_shifted": 3, **labels}
        | {"shifted_shares": {"negative": 2 / 3, "neutral": 1 / 3, "positive": 0.0}},
        {"word": "oh", "divergence_bits": 0.1, "num_rest": 4, "num_shifted": 0, **labels}
        | {"shifted_shares": {"negative": 0.0, "neutral": 0.0, "positive": 0.0}},
    ]
    assert words_moved({"top_words": words, "valid_with": "test"}) == (
        "words whose labels differ most, negative/neutral/positive % in train -> valid and test:"
        " movie 0.12 bits, 25/0/75 -> 67/33/0; oh 0.10 bits, 25/0/75 -> -"
    )


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
    "one speaker in two folds": (move("train", "test", "sample000$_$1"), "speaker-overlap", "warning"),
    "another accuracy": (set_key("shift", "text_probe", "standard_folds", value=0.01), "shift", "warning"),
    "no accuracy": (set_key("shift", "text_probe", "metric", value=None), "shift", "warning"),
    "unknown task of the shift": (set_key("shift", "task", value="three"), "shift", "warning"),
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


def test_equal_texts_on_both_sides_are_a_warning(dataset, set_strings, seal, found):
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
    duplicates = found(dataset / "splits/standard.json")["near-duplicates"]
    assert (duplicates.level, duplicates.ids) == ("warning", (ids[30],))


def test_a_split_without_any_store_belongs_to_none(split):
    (finding,) = verify_split(split, [])
    assert (finding.level, finding.check) == ("error", "store-digest")
    assert "belongs to no store present" in finding.message


def test_a_split_elsewhere_is_checked_against_the_workspace(dataset, tmp_path):
    path = (dataset / "splits/standard.json").rename(tmp_path / "cited.json")
    assert verify(path).num("error") == 0


@pytest.mark.parametrize(
    ("content", "check"), [("utterances/text_values", "store"), ("words/token_values", "mixed-sentences")]
)
def test_a_damaged_store_is_told(dataset, split, found, content, check):
    (dataset / "store/aligned.h5").unlink()
    path = dataset / "store/unaligned.h5"
    with h5py.File(path, "r") as file:
        place = file[content].id.get_chunk_info(0).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)
    assert found(split)[check].level == "error"
