"""How far splits shift: their divergence and what text probes lose, beside standard and random splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_data.reports.charts.shift import DotPanel, dot_rows
from mer_data.reports.encoder_probe import ProbeScores
from mer_data.reports.formatting import UNKNOWN, count_of, measure, number, percent, percent_spread, spread
from mer_data.reports.inputs import NamedSplit
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Drawing, Section, Table
from mer_data.tasks import Task

METRICS = {"binary": "Acc2", "seven": "Acc7"}
BITS, PROBE = "word_label_divergence_bits", "text_probe"


def divergence_section(splits: Sequence[NamedSplit], tasks: Sequence[Task], numbering: Numbering) -> Section:
    """The divergence of every split as a table, with a figure for each task."""
    rows = []
    for split in splits:
        this, mean, deviation = (
            measure(split.shift, BITS, key) for key in ("this_split", "random_mean", "random_std")
        )
        rows.append(
            {
                "Split": split.name,
                "Task": split.task.name,
                "This split": number(this),
                "Standard folds": number(measure(split.shift, BITS, "standard_folds")),
                "Random splits": spread(mean, deviation),
                "Times random": number(this / mean if this is not None and mean else None, 1),
            }
        )
    table = numbering.table(
        "Word-to-label divergence in bits. Random splits have the same sizes: mean and standard deviation of"
        " five.",
        rows,
    )
    figures = [_figure(splits, task, numbering) for task in tasks]
    text = "Divergences of the two tasks have different classes and cannot be compared."
    return Section(
        "Divergence",
        paragraphs=[text] if len(tasks) > 1 else [],
        tables=[table, _valid(splits, numbering)],
        figures=figures,
    )


def _valid(splits: Sequence[NamedSplit], numbering: Numbering) -> Table:
    rows = []
    for split in splits:
        this, mean, deviation = (
            measure(split.shift, "valid_divergence_bits", key)
            for key in ("this_split", "random_mean", "random_std")
        )
        rows.append(
            {
                "Split": split.name,
                "Its side": str(split.shift.get("valid_with", UNKNOWN)),
                "This split": number(this),
                "Random choice": spread(mean, deviation),
            }
        )
    return numbering.table(
        "Validation: divergence in bits from the rest of the side it was taken from, beside a random choice"
        " of that size (mean and standard deviation of five).",
        rows,
    )


def _figure(splits: Sequence[NamedSplit], task: Task, numbering: Numbering) -> Drawing:
    shown = [split for split in splits if split.task == task]
    panels = [
        DotPanel(
            label,
            values=[measure(split.shift, key, own) for split in shown],
            standard=[measure(split.shift, key, "standard_folds") for split in shown],
            random=[
                (measure(split.shift, key, "random_mean"), measure(split.shift, key, "random_std"))
                for split in shown
            ],
            percent=key == PROBE,
        )
        for label, key, own in (
            ("Divergence (bits)", BITS, "this_split"),
            (f"{METRICS[task.name]}, bag of words", PROBE, "test"),
        )
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
    encoder: Mapping[str, ProbeScores],
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
    tables = [_bag_of_words(splits, numbering)]
    if encoder_name is not None:
        paragraphs.append(
            f"The encoder probe is logistic regression on sentence embeddings of {encoder_name}, which is"
            " frozen: the mean of its last hidden states over the word pieces, brought to length 1."
        )
        rows = [
            {
                "Split": split.name,
                "Metric": METRICS[split.task.name],
                **_scores(encoder[split.name]),
            }
            for split in splits
        ]
        tables.append(numbering.table(f"Accuracy of the encoder probe ({encoder_name}), percent.", rows))
    return Section("What the text alone tells", paragraphs=paragraphs, tables=tables)


def _bag_of_words(splits: Sequence[NamedSplit], numbering: Numbering) -> Table:
    rows = []
    for split in splits:
        keys = ("test", "standard_folds", "random_mean", "random_std")
        scores = ProbeScores(*(measure(split.shift, PROBE, key) for key in keys))
        rows.append(
            {
                "Split": split.name,
                "Metric": METRICS[split.task.name],
                "Train, cross-validated": percent(measure(split.shift, PROBE, "cross_validated_on_train")),
                **_scores(scores),
            }
        )
    return numbering.table("Accuracy of the text probe, percent.", rows)


def _scores(scores: ProbeScores) -> dict[str, str]:
    """Cells of one probe; the last is in points."""
    known = scores.test is not None and scores.random_mean is not None
    return {
        "Test": percent(scores.test),
        "Standard folds": percent(scores.standard),
        "Random splits": percent_spread(scores.random_mean, scores.random_std),
        "Test minus random": percent((scores.test or 0.0) - (scores.random_mean or 0.0) if known else None),
    }
