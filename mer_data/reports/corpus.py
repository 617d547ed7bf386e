"""``corpus_report``: one page on a corpus, its splits and how severely words can be made to shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mer_data.reports.encoder_probe import EncoderProbe
from mer_data.reports.formatting import count_of
from mer_data.reports.inputs import NamedSplit
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Report, Section
from mer_data.reports.sections.corpus import corpus_sections, title_of
from mer_data.reports.sections.severity import SeverityCurve, severity_section
from mer_data.reports.sections.split import split_section
from mer_data.reports.sections.words import words_section
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS, Task

_HOW_TO_READ = (
    (
        "Word-to-label divergence",
        "For a word: the Jensen-Shannon divergence in bits between the labels of the utterances that have it,"
        " on the two sides of a split. Each side counts as often as the word is seen there, so it is what the"
        " side tells about the label once the word is known; 0 means that the word goes with the same labels"
        " on both sides. For a split: the mean over the frequent words, weighted by their utterances. One"
        " side is test (with valid, where that was taken from it), the other is the rest. Both are given a"
        " pseudo-count of the class prior, so that two sightings are no certainty.",
    ),
    (
        "Compare it with random splits",
        "A random split is above zero too, because its sides are finite, and the more so the more classes"
        " there are. What counts is the distance from random splits of the same sizes.",
    ),
    (
        "What shifts and what does not",
        "A search keeps class shares and sentence lengths; words change their labels. A model that learned"
        " which label a word goes with in this corpus loses, one that reads sound, face, or what words mean"
        " elsewhere may lose less.",
    ),
    (
        "The far end is adversarial",
        "Severity 1 is the most that a search finds: words go with the opposite label in test, so a model"
        " that learned them can fall below chance. Use it as a stress test, and the default for comparisons.",
    ),
    (
        "Text probes",
        "Linear models of the text alone. What a probe loses from random splits to a split is what a model"
        " that trusts its words is made to lose.",
    ),
)


def corpus_report(
    store: FeatureStore,
    splits: Sequence[NamedSplit],
    curves: Sequence[SeverityCurve],
    *,
    encoder: EncoderProbe | None = None,
    notes: Mapping[str, str] | None = None,
) -> tuple[Report, Numbering]:
    """The page, and its charts to be saved as files as well.

    Args:
        store: of the corpus.
        splits: manifests of that store, in the order of the page.
        curves: one for each task.
        encoder: a second text probe for the splits.
        notes: for the name of a task why there is no curve.
    """
    numbering = Numbering()
    sections = corpus_sections(store, numbering)
    if splits:
        scores = (
            {}
            if encoder is None
            else {split.name: encoder.scores(split.manifest, split.task) for split in splits}
        )
        sections.append(split_section(splits, numbering, scores, encoder.encoder_name if encoder else None))
        sections.append(words_section(splits, numbering))
    if curves or notes:
        sections.append(_severity(curves, notes or {}, numbering))
    sections.append(Section("How to read it", facts=_HOW_TO_READ))
    report = Report(f"{title_of(store)}: contents and splits", _intro(store, splits), sections, contents=True)
    return report, numbering


def _intro(store: FeatureStore, splits: Sequence[NamedSplit]) -> list[str]:
    return [
        "What the corpus holds, how it is divided, and how far words change their labels between training and"
        f" test in {count_of(len(splits), 'split')}. Computed from the store {store.path.name}, whose"
        f" utterances have the digest {store.utterance_digest}."
    ]


def _severity(curves: Sequence[SeverityCurve], notes: Mapping[str, str], numbering: Numbering) -> Section:
    return Section(
        "Severity",
        paragraphs=[
            "How far words shift is a dial: 0 gives the divergence of a random split, 1 the most that the"
            " search finds; in between it is linear in bits.",
            *(f"Task {task}: no curve. {reason}" for task, reason in notes.items()),
        ],
        sections=[severity_section(curve, numbering) for curve in curves],
    )


def tasks_of(splits: Sequence[NamedSplit]) -> list[Task]:
    """The tasks that out-of-distribution splits were made for, binary first; binary where there are none."""
    found = [task for name, task in TASKS.items() if any(split.manifest.task == name for split in splits)]
    return found or [TASKS["binary"]]
