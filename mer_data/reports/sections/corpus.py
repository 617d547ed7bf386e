"""What a store holds: the part of a report that depends on no split."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.inspect.summary import summarise_store
from mer_data.reports.charts.bars import length_histograms, stacked_histogram
from mer_data.reports.fold_facts import FoldFacts
from mer_data.reports.formatting import cleaning_rows, count_of, number, percent
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Section, Table
from mer_data.sources.catalogue import known_datasets, load_source_manifest
from mer_data.store.reader import FeatureStore
from mer_data.utterances import FOLDS, NO_FOLD

FOLD_NAMES = {**dict(zip(FOLDS, FOLDS, strict=True)), NO_FOLD: "in no fold"}
MOST_DROPS = 200
"""Dropped utterances that are listed; the store has them all."""
_LABEL_STEPS = (1 / 5, 1 / 3, 1 / 2)
"""Labels are averages over annotators, so they lie on a grid; bars of its width show no gaps of their own."""
_ON_GRID = 0.9


def title_of(store: FeatureStore) -> str:
    """The corpus by its full name, where it has a source manifest."""
    return load_source_manifest(store.dataset).title if store.dataset in known_datasets() else store.dataset


def corpus_sections(store: FeatureStore, numbering: Numbering) -> list[Section]:
    """The corpus, how it was cleaned, and where it comes from."""
    summary = summarise_store(store)
    return [
        Section(
            "The corpus",
            paragraphs=_overview(summary),
            tables=_folds_tables(store, numbering),
            sections=[_labels(store, numbering), _lengths(store, summary, numbering)],
        ),
        _cleaning(summary, numbering),
        _origin(store, summary, numbering),
    ]


def _overview(summary: dict[str, Any]) -> list[str]:
    seconds = summary["duration_s"]
    duration = "without times" if seconds is None else f"{seconds / 3600:.2f} hours of segments"
    return [
        f"{count_of(summary['num_utterances'], 'utterance')} of {count_of(summary['num_videos'], 'video')},"
        f" {duration}. A label is a sentiment in [-3, 3]; the task binary takes its sign (0 is neutral), the"
        " task seven its rounded value. Folds are the standard ones of the corpus."
    ]


def _inside(utterances: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """The utterances (N,) of every fold that has any, by its name."""
    folds = utterances["fold"].to_numpy(dtype=str)
    return {name: folds == fold for fold, name in FOLD_NAMES.items() if (folds == fold).any()}


def _folds_tables(store: FeatureStore, numbering: Numbering) -> list[Table]:
    """The folds and all utterances together: their sizes, and the classes of both tasks."""
    utterances, words = store.utterances, store.lengths("words")
    folds, sevens = [], []
    for name, rows in {**_inside(utterances), "all": np.ones(len(utterances), dtype=bool)}.items():
        fold, labels = FoldFacts.from_utterances(name, utterances[rows]), utterances["label"][rows]
        shares = {f"{label} (%)": percent(n / len(labels)) for label, n in fold.counts["binary"].items()}
        folds.append(
            {
                "Fold": name,
                "Utterances": number(fold.num_utterances, 0),
                "Videos": number(fold.num_videos, 0),
                "Hours": number(fold.hours, 2),
                "Words per utterance": number(float(words[rows].mean()), 1),
                "Mean label": number(float(labels.to_numpy(np.float64).mean()), 2),
                **shares,
            }
        )
        sevens.append({"Fold": name, **fold.classes("seven")})
    return [
        numbering.table("The standard folds, with the classes of the task binary.", folds),
        numbering.table("The classes of the task seven: utterances and shares.", sevens, folded=True),
    ]


def _labels(store: FeatureStore, numbering: Numbering) -> Section:
    utterances = store.utterances
    labels = utterances["label"].to_numpy(np.float64)
    step = next((step for step in _LABEL_STEPS if _on_grid(labels, step) >= _ON_GRID), _LABEL_STEPS[-1])
    parts = {name: labels[rows] for name, rows in _inside(utterances).items() if name in FOLDS}
    if not parts:
        parts = {"all": labels}
    figure = stacked_histogram(parts, width=step, x_label="Label (sentiment, -3 to 3)")
    drawing = numbering.draw(
        "labels",
        figure,
        f"Labels by standard fold. A bar is {step:.2g} wide; the one at 0 holds the neutral utterances.",
        "Histogram of the labels from -3 to 3, stacked by fold",
    )
    return Section("Labels", figures=[drawing])


def _on_grid(labels: NDArray[np.floating], step: float) -> float:
    """Share of the labels that are multiples of ``step``."""
    return float((np.abs(labels / step - np.rint(labels / step)) < 0.05).mean())


def _lengths(store: FeatureStore, summary: dict[str, Any], numbering: Numbering) -> Section:
    panels, limits = _length_panels(store)
    rows = [
        {"Length in": _UNITS[name], **{key: number(value, decimals) for key, value in quantiles.items()}}
        for name, quantiles in summary["lengths"].items()
        if quantiles is not None
        for decimals in [2 if name == "seconds" else 0]
    ]
    constant = [
        count_of(int(lengths[0]), f"{modality} vector")
        for modality in store.modalities
        for lengths in [store.lengths(modality)]
        if lengths.min() == lengths.max()
    ]
    figures = (
        [
            numbering.draw(
                "lengths",
                length_histograms(panels, limits),
                "Lengths of utterances up to the 99th percentile. Solid line: the median; dashed line: the"
                " longest row that a model is served, where that is in sight.",
                f"Histograms of the lengths of utterances in {', '.join(panels)}",
            )
        ]
        if panels
        else []
    )
    return Section(
        "Lengths",
        paragraphs=[f"Every utterance has {' and '.join(constant)}."] if constant else [],
        tables=[numbering.table("Lengths: quantiles over the utterances.", rows)],
        figures=figures,
    )


_UNITS = {
    "words": "words",
    "pieces": "word pieces",
    "audio": "audio frames",
    "vision": "vision frames",
    "seconds": "seconds",
}


def _length_panels(store: FeatureStore) -> tuple[dict[str, NDArray[np.float64]], dict[str, float]]:
    """Lengths that differ between utterances, by what they are counted in, and the limits of some of them."""
    utterances = store.utterances
    seconds = (utterances["end_s"] - utterances["start_s"]).to_numpy(np.float64)
    values = {"words": store.lengths("words"), "seconds": seconds[np.isfinite(seconds)]}
    if store.alignment == "aligned":
        values["pieces"] = store.lengths("tokens")
    else:
        values |= {modality: store.lengths(modality) for modality in store.modalities}
    differ = {name: found for name, found in values.items() if len(found) and found.min() < found.max()}
    panels = {_UNITS[name]: lengths.astype(np.float64) for name, lengths in differ.items()}
    limits = {**store.limits, "pieces": store.limits["text"]}
    return panels, {_UNITS[name]: float(limits[name]) for name in differ if name in limits}


def _cleaning(summary: dict[str, Any], numbering: Numbering) -> Section:
    """What the build changed, met and left out."""
    found, absent = cleaning_rows(summary["cleaning"])
    dropped: list[dict[str, str]] = summary["dropped"]
    paragraphs = []
    if absent:
        paragraphs.append(f"Looked for and not found: {', '.join(absent)}.")
    reasons = Counter(drop["reason"] for drop in dropped)
    left_out = "; ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    paragraphs.append(f"Left out of the store: {left_out or 'nothing'}.")
    tables = [numbering.table("What the build met or changed.", found)] if found else []
    if dropped:
        more = f"; the first {MOST_DROPS} of {len(dropped):,}" if len(dropped) > MOST_DROPS else ""
        rows = [{"What": drop["id"], "Reason": drop["reason"]} for drop in dropped[:MOST_DROPS]]
        tables.append(numbering.table(f"Left out of the store{more}.", rows, folded=True))
    return Section("Cleaning", paragraphs=paragraphs, tables=tables)


def _origin(store: FeatureStore, summary: dict[str, Any], numbering: Numbering) -> Section:
    """Files, features, digests, licence and citation."""
    limits = summary["limits"]
    facts = [
        ("Store", f"{store.path.name}, {summary['alignment']}, {summary['num_bytes'] / 1e6:,.1f} MB"),
        ("Text", f"tokenizer {summary['tokenizer']}, {summary['vocabulary_size']:,} word pieces"),
    ]
    for modality in store.modalities:
        rate = summary["frame_rate_hz"][modality]
        shown = "frames as in the source" if rate is None else f"averaged to {rate:g} Hz"
        if summary["alignment"] == "aligned":
            shown = "averaged over each word"
        columns = count_of(summary["num_columns"][modality], "column")
        facts.append((modality.capitalize(), f"{summary['feature_sets'][modality]}, {columns}, {shown}"))
    facts += [
        (
            "Served to a model",
            f"at most {limits['text']} word pieces, {limits['audio']} audio frames,"
            f" {limits['vision']} vision frames",
        ),
        ("Digest of ids, labels and texts", summary["utterance_digest"]),
        ("Digest of the whole store", summary["content_digest"]),
    ]
    if store.dataset in known_datasets():
        manifest = load_source_manifest(store.dataset)
        facts += [("Licence", manifest.licence), ("Citation", manifest.citation.strip())]
    files = [{"File": name, "Digest": digest} for name, digest in sorted(summary["sources"].items())]
    tables = [numbering.table("Source files.", files, text_columns=["Digest"], folded=True)] if files else []
    return Section("Origin and digests", facts=facts, tables=tables)
