"""The measured shift of a split (``mer_data.splits.shift.measure``) as notes for a person."""

from __future__ import annotations

from typing import Any

from mer_data.splits.shift.measure import deviations_above_random
from mer_data.utterances import FOLDS
from mer_data.verify.findings import Findings

NUM_NAMED_WORDS = 8


def note_shift(shift: dict[str, Any], findings: Findings) -> None:
    """The shift in words: divergence, probe, vocabulary, lengths, words that moved, near-duplicates."""
    bits, probe, vocabulary = shift["word_label_divergence_bits"], shift["text_probe"], shift["vocabulary"]
    above = deviations_above_random(shift)
    above_random = (
        "" if above is None else f", {above:.1f} standard deviations of random splits above their mean"
    )
    findings.note("divergence", _compared(bits, "this_split", "{:.4f} bits") + above_random)
    findings.note(
        "text-probe",
        f"{probe['metric']} of a bag of words: {_compared(probe, 'test', '{:.1%}')},"
        f" cross-validated on train {_value(probe['cross_validated_on_train'], '{:.1%}')}",
    )
    findings.note(
        "vocabulary",
        f"{_value(vocabulary['test_vocabulary_in_train'], '{:.1%}')} of the words of test are in train,"
        f" {_value(vocabulary['test_oov_rate'], '{:.1%}')} of its running words are not",
    )
    lengths = ", ".join(f"{fold} {_value(shift['words_per_utterance'][fold], '{:.1f}')}" for fold in FOLDS)
    findings.note("length", f"mean words per utterance: {lengths}")
    if shift["top_words"]:
        findings.note("words-moved", words_moved(shift))
    if shift["near_duplicates"]["ids"]:
        findings.warning(
            "near-duplicates",
            "test utterances whose words are nearly those of one in training or validation",
            shift["near_duplicates"]["ids"],
        )


def words_moved(shift: dict[str, Any]) -> str:
    """The words that moved most, with their divergence and their label shares on both sides."""
    entries = shift["top_words"][:NUM_NAMED_WORDS]
    moved = [
        f"{entry['word']} {entry['divergence_bits']:.2f} bits,"
        f" {_shares(entry, 'rest')} -> {_shares(entry, 'shifted')}"
        for entry in entries
    ]
    sides = "train and valid -> test" if shift["valid_with"] == "train" else "train -> valid and test"
    classes = "/".join(entries[0]["rest_shares"])
    return f"words whose labels differ most, {classes} % in {sides}: {'; '.join(moved)}"


def _shares(entry: dict[str, Any], side: str) -> str:
    """Class shares of a word on one side in percent; a dash where the word does not occur there."""
    if not entry[f"num_{side}"]:
        return "-"
    return "/".join(f"{100 * share:.0f}" for share in entry[f"{side}_shares"].values())


def _compared(values: dict[str, Any], name: str, form: str) -> str:
    """A value with those of the standard folds and of random splits."""
    return (
        f"{_value(values[name], form)} (standard folds {_value(values['standard_folds'], form)},"
        f" random {_value(values['random_mean'], form)})"
    )


def _value(value: float | None, form: str) -> str:
    return "undefined" if value is None else form.format(value)
