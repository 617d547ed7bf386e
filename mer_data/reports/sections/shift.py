"""How far splits shift: their divergence and what text probes lose, beside standard and random splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_data.reports.charts.shift import DotPanel, dot_rows
from mer_data.reports.formatting import (
    UNKNOWN,
    ShiftMeasure,
    count_of,
    measure,
    number,
    percent,
    percent_spread,
    spread,
)
from mer_data.reports.inputs import NamedSplit
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Drawing, Section
from mer_data.tasks import Task

METRICS = {"binary": "Acc2", "seven": "Acc7"}
BITS, PROBE = "word_label_divergence_bits", "text_probe"


def divergence_of(split: NamedSplit) -> ShiftMeasure:
    """Its word-to-label divergence in bits."""
    return ShiftMeasure.from_recorded(split.shift.get(BITS))


def probe_of(split: NamedSplit) -> ShiftMeasure:
    """Accuracy of its bag-of-words probe on test."""
    return ShiftMeasure.from_recorded(split.shift.get(PROBE), "test")


def divergence_section(splits: Sequence[NamedSplit], tasks: Sequence[Task], numbering: Numbering) -> Section:
    """The divergence of every split as a table, with a figure for each task."""
    rows, valid_rows = [], []
    for split in splits:
        bits = divergence_of(split)
        valid = ShiftMeasure.from_recorded(split.shift.get("valid_divergence_bits"))
        rows.append(
            {
                "Split": split.name,
                "Task": split.task.name,
                "This split": number(bits.value),
                "Standard folds": number(bits.standard),
                "Random splits": spread(bits.random_mean, bits.random_std),
                "Times random": number(bits.times_random, 1),
            }
        )
        valid_rows.append(
            {
                "Split": split.name,
                "Its side": str(split.shift.get("valid_with", UNKNOWN)),
                "This split": number(valid.value),
                "Random choice": spread(valid.random_mean, valid.random_std),
            }
        )
    tables = [
        numbering.table(
            "Word-to-label divergence in bits. Random splits have the same sizes: mean and standard deviation"
            " of five.",
            rows,
        ),
        numbering.table(
            "Validation: divergence in bits from the rest of the side it was taken from, beside a random"
            " choice of that size (mean and standard deviation of five).",
            valid_rows,
        ),
    ]
    text = "Divergences of the two tasks have different classes and cannot be compared."
    return Section(
        "Divergence",
        paragraphs=[text] if len(tasks) > 1 else [],
        tables=tables,
        figures=[_figure(splits, task, numbering) for task in tasks],
    )


def _figure(splits: Sequence[NamedSplit], task: Task, numbering: Numbering) -> Drawing:
    shown = [split for split in splits if split.task == task]
    panels = [
        DotPanel("Divergence (bits)", [divergence_of(split) for split in shown]),
        DotPanel(f"{METRICS[task.name]}, bag of words", [probe_of(split) for split in shown], percent=True),
    ]
    return numbering.draw(
        f"shift_{task.name}",
        dot_rows([split.name for split in shown], panels),
        f"Task {task.name}: divergence, and accuracy of the bag-of-words probe on test. A shifted split is"
        " right of its baselines in the first panel and left of them in the second. Random splits: mean and"
        " one standard deviation.",
        f"Dot plot: divergence and probe accuracy of {count_of(len(shown), 'split')} and their baselines",
    )


def probe_section(
    splits: Sequence[NamedSplit],
    numbering: Numbering,
    encoder: Mapping[str, ShiftMeasure],
    encoder_name: str | None,
) -> Section:
    """What linear models of the text score on every split.

    Args:
        splits: in the order of the page.
        numbering: numbers the tables.
        encoder: for the name of a split the scores of the encoder probe, where it was asked for.
        encoder_name: its text encoder.
    """
    paragraphs = [
        "The text probe is logistic regression on bags of words (which words occur), trained on train and"
        " scored on test. Acc2 is over non-neutral utterances, Acc7 over all. Random splits have the same"
        " sizes: mean and standard deviation of three."
    ]
    rows = [
        {
            "Split": split.name,
            "Metric": METRICS[split.task.name],
            "Train, cross-validated": percent(measure(split.shift, PROBE, "cross_validated_on_train")),
            **_scores(probe_of(split)),
        }
        for split in splits
    ]
    tables = [numbering.table("Accuracy of the text probe, percent.", rows)]
    if encoder_name is not None:
        paragraphs.append(
            f"The encoder probe is logistic regression on sentence embeddings of {encoder_name}, which is"
            " frozen: the mean of its last hidden states over the word pieces, brought to length 1."
        )
        rows = [
            {"Split": split.name, "Metric": METRICS[split.task.name], **_scores(encoder[split.name])}
            for split in splits
        ]
        tables.append(numbering.table(f"Accuracy of the encoder probe ({encoder_name}), percent.", rows))
    return Section("What the text alone tells", paragraphs=paragraphs, tables=tables)


def _scores(scores: ShiftMeasure) -> dict[str, str]:
    """Cells of one probe; the last is in points."""
    return {
        "Test": percent(scores.value),
        "Standard folds": percent(scores.standard),
        "Random splits": percent_spread(scores.random_mean, scores.random_std),
        "Test minus random": percent(scores.minus_random),
    }
