"""The part of a dataset card on how far its split shifts, as the manifest records it."""

from __future__ import annotations

from mer_data.export.facts import Facts
from mer_data.reports.formatting import UNKNOWN, measure, number, percent, percent_spread, spread
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Section, Table
from mer_data.reports.sections.shift import BITS, METRICS, PROBE
from mer_data.utterances import FOLDS

NUM_TOP_WORDS = 10


def shift_section(facts: Facts, numbering: Numbering) -> Section:
    """What the manifest measured; nothing is computed anew."""
    shift, task = facts.split.shift, facts.shift_task
    if measure(shift, BITS, "this_split") is None and measure(shift, PROBE, "test") is None:
        return Section("Shift of the split", paragraphs=["The manifest records no measures."])
    text = (
        "The word-to-label divergence is a weighted Jensen-Shannon divergence, in bits, of the labels that go"
        " with each frequent word on the two sides. The text probe is logistic regression on bags of words,"
        f" trained on train; {METRICS[task.name]} in percent. Random splits have the same sizes: mean and"
        f" standard deviation. Measured with the classes of the task {task.name} on"
        f" {number(measure(shift, 'num_words'), 0)} words."
    )
    return Section(
        "Shift of the split",
        paragraphs=[text],
        tables=[_compared(facts, numbering), _alone(facts, numbering), *_top_words(facts, numbering)],
    )


def _compared(facts: Facts, numbering: Numbering) -> Table:
    """What a manifest compares with the standard folds and with random splits."""
    shift, valid = facts.split.shift, facts.split.shift.get("valid_divergence_bits")
    rows = [
        {
            "Measure": "divergence of test (bits)",
            "This split": number(measure(shift, BITS, "this_split")),
            "Standard folds": number(measure(shift, BITS, "standard_folds")),
            "Random splits": spread(measure(shift, BITS, "random_mean"), measure(shift, BITS, "random_std")),
        },
        {
            "Measure": "divergence of valid from its side (bits)",
            "This split": number(measure(valid, "this_split")),
            "Standard folds": UNKNOWN,
            "Random splits": spread(measure(valid, "random_mean"), measure(valid, "random_std")),
        },
        {
            "Measure": f"text probe on test ({METRICS[facts.shift_task.name]}, %)",
            "This split": percent(measure(shift, PROBE, "test")),
            "Standard folds": percent(measure(shift, PROBE, "standard_folds")),
            "Random splits": percent_spread(
                measure(shift, PROBE, "random_mean"), measure(shift, PROBE, "random_std")
            ),
        },
    ]
    return numbering.table("The shift, beside splits that were not searched for.", rows)


def _alone(facts: Facts, numbering: Numbering) -> Table:
    """What a manifest says of the split alone."""
    shift = facts.split.shift
    values = {
        "text probe cross-validated on train (%)": percent(measure(shift, PROBE, "cross_validated_on_train")),
        "greatest difference of a class share in test from all (points)": percent(
            measure(shift, "max_label_share_deviation"), 2
        ),
        **{
            f"words per utterance, {fold}": number(measure(shift, "words_per_utterance", fold), 1)
            for fold in FOLDS
        },
        "distinct words of test that train has (%)": percent(
            measure(shift, "vocabulary", "test_vocabulary_in_train")
        ),
        "running words of test that train lacks (%)": percent(measure(shift, "vocabulary", "test_oov_rate")),
    }
    rows = [{"Measure": name, "This split": value} for name, value in values.items()]
    return numbering.table("The split alone.", rows)


def _top_words(facts: Facts, numbering: Numbering) -> list[Table]:
    """The words that moved the most, with their shares of every class."""
    entries = facts.split.shift.get("top_words") or []
    if facts.split.kind != "ood" or not entries:
        return []
    classes = facts.shift_task.classes
    rows = [
        {
            "Word": str(entry["word"]),
            "Bits": number(measure(entry, "divergence_bits"), 3),
            **{
                f"{name}, {side}": percent(measure(entry, f"{side}_shares", name), 0)
                for side in ("rest", "shifted")
                for name in classes
            },
        }
        for entry in entries[:NUM_TOP_WORDS]
    ]
    caption = (
        "Words that moved the most: shares of the classes (%) on the side of train and on the shifted side."
    )
    return [numbering.table(caption, rows)]
