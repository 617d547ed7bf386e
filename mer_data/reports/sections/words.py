"""Words that moved: per split, the words whose labels differ most between its sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mer_data.reports.charts.shift import Dumbbell, dumbbells
from mer_data.reports.formatting import count_of, measure, number, percent
from mer_data.reports.inputs import NamedSplit
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Section
from mer_data.tasks import LABEL_RANGE, Task


def words_section(splits: Sequence[NamedSplit], numbering: Numbering) -> Section:
    """A figure and a table for every split that records its top words."""
    text = (
        "The words with the largest part in the divergence of a split: how often they occur times how far"
        " their labels differ between the sides. The tables give the label shares on both sides, from the"
        " most negative class to the most positive."
    )
    return Section(
        "Words that moved",
        paragraphs=[text],
        sections=[_words(split, numbering) for split in splits],
    )


def _words(split: NamedSplit, numbering: Numbering) -> Section:
    task, (rest, shifted) = split.task, split.sides
    recorded = split.shift.get("top_words")
    words = [word for word in recorded if isinstance(word, dict)] if isinstance(recorded, list) else []
    if not words:
        return Section(split.name, paragraphs=["The manifest records no words that moved."])
    classes = " / ".join(task.classes)
    rows = [
        {
            "Word": str(word.get("word")),
            "Divergence (bits)": number(measure(word, "divergence_bits"), 3),
            f"In {rest}": number(measure(word, "num_rest"), 0),
            f"In {shifted}": number(measure(word, "num_shifted"), 0),
            f"Labels in {rest} (%)": _shares_of(word.get("rest_shares"), task),
            f"Labels in {shifted} (%)": _shares_of(word.get("shifted_shares"), task),
        }
        for word in words
    ]
    binary = task.name == "binary"
    label = "Share of positive utterances among those with the word" if binary else "Mean class (-3 to 3)"
    figure = dumbbells(
        [
            Dumbbell(str(word.get("word")), _level(word, "rest", task), _level(word, "shifted", task))
            for word in words
        ],
        sides=(rest, shifted),
        x_label=label,
        x_range=(0.0, 1.0) if binary else LABEL_RANGE,
        corpus=_mean_class(_pool_shares(split), task),
        percent=binary,
    )
    drawing = numbering.draw(
        f"words_{split.name}",
        figure,
        f"{split.name}: the {count_of(len(words), 'word')} that moved most, with the"
        f" {label[0].lower()}{label[1:]} in {rest} (hollow) and in {shifted} (filled)."
        + (" Moves between negative and neutral are in the table alone." if binary else ""),
        f"Dumbbell chart of {count_of(len(words), 'word')} on the two sides of {split.name}",
    )
    table = numbering.table(
        f"The same words: utterances with them, and their labels ({classes}).", rows, folded=True
    )
    return Section(split.name, tables=[table], figures=[drawing])


def _pool_shares(split: NamedSplit) -> Any:
    shares = split.shift.get("label_shares")
    return shares.get("pool") if isinstance(shares, dict) else None


def _level(word: dict[str, Any], side: str, task: Task) -> float | None:
    """Where a word stands on one side; None where it does not occur there."""
    return _mean_class(word.get(f"{side}_shares"), task) if measure(word, f"num_{side}") else None


def _mean_class(shares: Any, task: Task) -> float | None:
    """The share of the class positive, or for seven classes the mean class."""
    values = [measure(shares, name) for name in task.classes]
    if any(value is None for value in values):
        return None
    if task.name == "binary":
        return values[-1]
    return sum(int(name) * (value or 0.0) for name, value in zip(task.classes, values, strict=True))


def _shares_of(shares: Any, task: Task) -> str:
    return " / ".join(percent(measure(shares, name), 0) for name in task.classes)
