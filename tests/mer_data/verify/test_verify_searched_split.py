"""Split manifests against what made them: mixed sentences, and the search repeated."""

import h5py
import numpy as np
import pytest
from split_edits import move, set_key

from mer_data.splits import standard_split
from mer_data.store.reader import FeatureStore
from mer_data.verify import verify


@pytest.fixture
def change_words(dataset, words_of, set_words, seal):
    """Change words and texts of the only store by a function of its rows, and make its standard split."""

    def run(change, *, timed=True):
        (dataset / "store/aligned.h5").unlink()
        path = dataset / "store/unaligned.h5"
        with h5py.File(path, "r+") as file:
            rows = words_of(file)
            change(rows)
            set_words(file, rows)
            for name in () if timed else ("utterances/start_s", "utterances/end_s", "words/times"):
                file[name][...] = np.nan
        seal(path)
        store = FeatureStore.open(path)
        manifest = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
        store.close()
        manifest.save(dataset / "splits/standard.json")
        return dataset / "splits/standard.json"

    return run


def share_a_word(rows):
    (before, before_times), (after, after_times) = rows[4], rows[5]
    rows[5] = [before[-1], *after], np.concatenate([before_times[-1:], after_times])


def repeat_an_end(rows):
    (before, _), (after, times) = rows[4], rows[5]
    rows[5] = [*before[-3:], *after], np.concatenate([times[:3], times])


def test_mixed_sentences_in_the_split_are_an_error(change_words, found):
    finding = found(change_words(share_a_word))["mixed-sentences"]
    assert (finding.level, finding.ids) == ("error", ("sample000$_$5", "sample000$_$6"))


def test_mixed_sentences_that_the_split_leaves_out_do_not_matter(change_words, found, edit_json):
    path = edit_json(change_words(share_a_word), move("train", None, "sample000$_$6"))
    assert found(path)["mixed-sentences"].level == "note"


def test_without_word_times_a_repeated_end_is_a_warning(change_words, found):
    finding = found(change_words(repeat_an_end, timed=False))["mixed-sentences"]
    assert (finding.level, finding.ids) == ("warning", ("sample000$_$5", "sample000$_$6"))


def test_a_search_can_be_made_again(searched, found):
    finding = found(searched, make_again=True)["make-again"]
    assert (finding.level, finding.message) == (
        "note",
        "its recorded parameters give the identical manifest",
    )


def swap_two(value):
    train, test = value["splits"]["train"], value["splits"]["test"]
    train[0], test[0] = test[0], train[0]


TAMPERED = {
    "folds": (swap_two, "error", "its recorded parameters give another split"),
    "seed": (set_key("generator", "seed", value=5), "error", "its recorded parameters give another split"),
    "report": (
        set_key("shift", "word_label_divergence_bits", "this_split", value=0.5),
        "warning",
        "its recorded parameters give the same folds with another report",
    ),
    "parameters": (
        set_key("generator", "label_tolerance", value=0.0),
        "error",
        "cannot be made again (the label tolerance cannot be met: ",
    ),
    "version": (
        set_key("generator", "version", value=7),
        "note",
        "not compared: the split was made by another version of the search: found 7, expected 1",
    ),
    "unknown parameter": (
        set_key("generator", "excess_bits", value=0.1),
        "error",
        "cannot be made again (the split records parameters of another version: ",
    ),
    "impossible parameter": (
        set_key("generator", "restarts", value="two"),
        "error",
        "cannot be made again (",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_split_that_was_changed_by_hand_is_found_by_making_it_again(searched, found, edit_json, name):
    change, level, message = TAMPERED[name]
    finding = found(edit_json(searched, change), make_again=True)["make-again"]
    assert finding.level == level
    assert finding.message.startswith(message)


def test_what_was_not_searched_is_not_made_again(split, found):
    finding = found(split, make_again=True)["make-again"]
    assert (finding.level, finding.message) == ("note", "not made by a search but by 'standard_folds'")


def test_rounding_of_another_machine_is_no_difference(searched, found, edit_json):
    def nudge(value):
        value["shift"]["word_label_divergence_bits"]["this_split"] += 1e-6
        value["shift"]["text_probe"]["test"] += 0.004

    assert "shift" not in found(edit_json(searched, nudge))


def test_verify_makes_again_what_lies_in_a_folder(searched, dataset):
    result = verify(dataset, make_again=True)
    notes = {(f.artefact.name, f.message) for f in result.findings if f.check == "make-again"}
    assert notes == {
        ("searched.json", "its recorded parameters give the identical manifest"),
        ("standard.json", "not made by a search but by 'standard_folds'"),
    }
    assert not [f for f in verify(dataset).findings if f.check == "make-again"]
