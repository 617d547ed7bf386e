"""Splits side by side: how they were made, their sizes, labels, lengths, vocabulary and leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_data.reports.charts.bars import ShareRow, share_bars
from mer_data.reports.formatting import ShiftMeasure, count_of, measure, number, percent
from mer_data.reports.inputs import NamedSplit
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Section, Table
from mer_data.reports.provenance import parameters_in_words, provenance, shared_parameters
from mer_data.reports.sections.shift import divergence_section, probe_section
from mer_data.tasks import TASKS, Task
from mer_data.utterances import FOLDS


def split_section(
    splits: Sequence[NamedSplit],
    numbering: Numbering,
    encoder: Mapping[str, ShiftMeasure],
    encoder_name: str | None,
) -> Section:
    """Every split beside the others.

    Args:
        splits: in the order of the page.
        numbering: numbers figures and tables.
        encoder: for the name of a split the scores of the encoder probe, where it was asked for.
        encoder_name: its text encoder.
    """
    tasks = [task for task in TASKS.values() if any(split.task == task for split in splits)]
    shared = shared_parameters([split.manifest for split in splits])
    facts = [
        (split.name, f"{provenance(split.manifest, shared)}\nCite as {split.manifest.digest}")
        for split in splits
    ]
    paragraphs = [
        "The figures are those that the manifests record; the command mer-data verify computes them again"
        " from the store. A dash stands for what a manifest does not record."
    ]
    if shared:
        paragraphs.append(f"All searches: {parameters_in_words(shared).lstrip()}.")
    return Section(
        "Splits side by side",
        paragraphs=paragraphs,
        facts=facts,
        tables=[_sizes(splits, numbering)],
        sections=[
            divergence_section(splits, tasks, numbering),
            probe_section(splits, numbering, encoder, encoder_name),
            _shares(splits, tasks, numbering),
            _texts(splits, numbering),
            _leaks(splits, numbering),
        ],
    )


def _sizes(splits: Sequence[NamedSplit], numbering: Numbering) -> Table:
    rows = [
        {
            "Split": split.name,
            "Kind": split.manifest.kind,
            "Task": split.manifest.task,
            **{fold.capitalize(): f"{len(split.manifest.splits[fold]):,}" for fold in FOLDS},
            "Dropped": f"{len(split.manifest.dropped):,}",
            "Test labels off by (points)": percent(measure(split.shift, "max_label_share_deviation"), 2),
        }
        for split in splits
    ]
    return numbering.table(
        "The splits: utterances per fold, and the greatest difference between a class share in test and in"
        " all of them, in points.",
        rows,
    )


def _shares(splits: Sequence[NamedSplit], tasks: Sequence[Task], numbering: Numbering) -> Section:
    figures, tables = [], []
    for task in tasks:
        recorded = [split for split in splits if split.task == task and _has_shares(split)]
        if not recorded:
            continue
        bars = [
            ShareRow("all utterances of the splits", "", _fold_shares(recorded[0], "pool")),
            *(ShareRow(split.name, fold, _fold_shares(split, fold)) for split in recorded for fold in FOLDS),
        ]
        figures.append(
            numbering.draw(
                f"label_shares_{task.name}",
                share_bars(bars, task.classes),
                f"Task {task.name}: label shares per fold, percent.",
                f"Stacked bars: class shares of train, valid and test of {count_of(len(recorded), 'split')}",
            )
        )
        rows = [
            {
                "Split": bar.group,
                "Fold": bar.name or "all",
                **{name: percent(share) for name, share in zip(task.classes, bar.shares, strict=True)},
            }
            for bar in bars
        ]
        tables.append(
            numbering.table(f"Task {task.name}: label shares per fold, percent.", rows, folded=True)
        )
    paragraphs = [] if figures else ["No manifest records them."]
    return Section("Label shares", paragraphs=paragraphs, tables=tables, figures=figures)


def _has_shares(split: NamedSplit) -> bool:
    return all(
        measure(split.shift, "label_shares", fold, name) is not None
        for fold in (*FOLDS, "pool")
        for name in split.task.classes
    )


def _fold_shares(split: NamedSplit, fold: str) -> list[float]:
    return [measure(split.shift, "label_shares", fold, name) or 0.0 for name in split.task.classes]


def _texts(splits: Sequence[NamedSplit], numbering: Numbering) -> Section:
    rows = [
        {
            "Split": split.name,
            **{
                f"Words, {fold}": number(measure(split.shift, "words_per_utterance", fold), 1)
                for fold in FOLDS
            },
            "Test vocabulary in train (%)": percent(
                measure(split.shift, "vocabulary", "test_vocabulary_in_train")
            ),
            "Test words not in train (%)": percent(measure(split.shift, "vocabulary", "test_oov_rate")),
        }
        for split in splits
    ]
    caption = (
        "Mean words per utterance; share of the distinct words of test that train has; share of the running"
        " words of test that train lacks (out of vocabulary)."
    )
    return Section("Lengths and vocabulary", tables=[numbering.table(caption, rows)])


def _leaks(splits: Sequence[NamedSplit], numbering: Numbering) -> Section:
    rows, listed = [], []
    for split in splits:
        near = split.shift.get("near_duplicates")
        ids = near.get("ids") if isinstance(near, dict) else None
        rows.append(
            {
                "Split": split.name,
                "Videos of test": number(measure(split.shift, "videos", "num_test"), 0),
                "In train or valid too": number(
                    measure(split.shift, "videos", "num_test_in_train_or_valid"), 0
                ),
                "Near-duplicates in test": number(measure(near, "num_test"), 0),
            }
        )
        if isinstance(ids, list) and ids:
            listed.append({"Split": split.name, "Utterances of test": ", ".join(map(str, ids))})
    tables = [numbering.table("Speakers (videos) and sentences on both sides.", rows)]
    if listed:
        tables.append(
            numbering.table(
                "The near-duplicates by id.", listed, text_columns=["Utterances of test"], folded=True
            )
        )
    return Section("Speakers and near-duplicates", paragraphs=[_near_in_words(splits)], tables=tables)


def _near_in_words(splits: Sequence[NamedSplit]) -> str:
    """What a near-duplicate is, with the thresholds that the first manifest with any records."""
    thresholds = [
        tuple(measure(split.shift, "near_duplicates", key) for key in ("min_jaccard", "min_words"))
        for split in splits
    ]
    overlap, words = next((pair for pair in thresholds if None not in pair), (None, None))
    if overlap is None or words is None:
        return "No manifest records near-duplicates."
    return (
        f"A near-duplicate is an utterance of test with at least {words:.0f} distinct words of which one in"
        f" train or valid has nearly all: they share {percent(overlap, 0)} % or more of the words of the two"
        " (Jaccard index)."
    )
