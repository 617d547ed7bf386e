"""The dataset card: terms, counts, cleaning, shift and digests of an export, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mer_data.export.card_shift import shift_section
from mer_data.export.facts import Facts, FoldFacts
from mer_data.export.remake import commands_again
from mer_data.export.statements import limits, speakers, use
from mer_data.files.writing import write_text
from mer_data.files.yaml_files import to_yaml
from mer_data.reports.formatting import UNKNOWN, count_of, number, percent
from mer_data.reports.numbering import Numbering
from mer_data.reports.page import Report, Section
from mer_data.reports.provenance import provenance

SUFFIX = ".card.md"
CROISSANT = ".croissant.json"
AGAIN = "With the source files named above in the dataset's raw folder; equal digests mean equal data."
MOST_IDS = 100
"""Ids of a kind that a card lists; the split manifest and the store have them all."""


def card_path(target: Path) -> Path:
    """Where the card of the export at ``target`` goes: beside a file."""
    stem = target.name.removesuffix(CROISSANT)
    if stem == target.name:
        stem = target.stem
    return target.with_name(f"{stem}{SUFFIX}")


def write_card(facts: Facts, target: Path) -> None:
    """Write the card; equal facts give equal bytes."""
    write_text(target, card(facts))


def card(facts: Facts) -> str:
    """The card as GitHub-flavoured Markdown, with the header that the Hugging Face hub reads."""
    numbering = Numbering()
    report = Report(
        f"{facts.corpus.title}: {facts.store_name}, {facts.split_name}",
        _intro(facts),
        [
            Section("Terms", paragraphs=[facts.corpus.terms, speakers(facts)]),
            _folds(facts, numbering),
            _features(facts, numbering),
            _cleaning(facts, numbering),
            shift_section(facts, numbering),
            Section("Intended use and limits", paragraphs=[*use(facts), *limits(facts)]),
            _digests(facts, numbering),
        ],
    )
    blocks = [_header(facts), report.to_markdown(), *_ids(facts)]
    blocks += [f"## Make it again\n\n{AGAIN}\n", _fenced("bash", "\n".join(commands_again(facts)))]
    if facts.corpus.citation:
        blocks += ["## Citation\n", _fenced("bibtex", facts.corpus.citation)]
    return "\n".join(blocks)


def _header(facts: Facts) -> str:
    fields = {
        "pretty_name": facts.corpus.title,
        "license": "other",
        "license_name": "terms of the corpus",
        "tags": ["multimodal", "sentiment-analysis", facts.corpus.dataset],
    }
    return f"---\n{to_yaml(fields)}---\n"


def _intro(facts: Facts) -> list[str]:
    store, split = facts.store, facts.split
    sizes = ", ".join(f"{fold.num_utterances:,} in {fold.name}" for fold in facts.folds)
    return [
        f"{count_of(facts.num_utterances, 'utterance')} ({sizes}) with text, word pieces, audio and vision"
        " features and a sentiment label in [-3, 3].",
        f"Store {facts.store_name}: {count_of(store['num_utterances'], 'utterance')}, {store['alignment']}"
        f" frames. Split {facts.split_name}, kind {split.kind}, task {split.task}: {provenance(split)}",
    ]


def _folds(facts: Facts, numbering: Numbering) -> Section:
    rows = [
        {
            "Fold": fold.name,
            "Utterances": f"{fold.num_utterances:,}",
            "Videos": f"{fold.num_videos:,}",
            "Hours": number(fold.hours, 2),
            **_shares(fold, "binary"),
        }
        for fold in facts.folds
    ]
    text = "The task binary takes the sign of a label (0 is neutral), the task seven its rounded value."
    return Section(
        "Folds and classes",
        paragraphs=[text],
        tables=[
            numbering.table("The folds, with utterances and shares of the classes of the task binary.", rows),
            numbering.table(
                "Utterances and shares of the classes of the task seven.",
                [{"Fold": fold.name, **_shares(fold, "seven")} for fold in facts.folds],
            ),
        ],
    )


def _shares(fold: FoldFacts, task: str) -> dict[str, str]:
    counts = fold.counts[task]
    return {
        name: f"{n:,} ({percent(n / fold.num_utterances)} %)" if fold.num_utterances else "0"
        for name, n in counts.items()
    }


def _features(facts: Facts, numbering: Numbering) -> Section:
    store = facts.store
    rows = []
    for modality in facts.columns:
        frames = store["lengths"][modality]
        rows.append(
            {
                "Stream": modality,
                "Feature set": store["feature_sets"][modality],
                "Columns": str(len(facts.columns[modality])),
                "Frames": facts.frames(modality),
                "Median": number(frames["50%"], 0),
                "Longest": number(frames["max"], 0),
                "Served to a model": f"at most {store['limits'][modality]}",
            }
        )
    pieces = store["lengths"]["pieces"]
    text = (
        f"Text: word pieces of {store['tokenizer']} ({store['vocabulary_size']:,} in its vocabulary), median"
        f" {number(pieces['50%'], 0)}, longest {number(pieces['max'], 0)}, of which at most"
        f" {store['limits']['text']} are served to a model."
    )
    columns = [
        (f"Columns of {modality}", _named(facts.columns[modality]) or UNKNOWN) for modality in facts.columns
    ]
    caption = "Streams of the store, with frames per utterance; float32."
    return Section("Features", paragraphs=[text], tables=[numbering.table(caption, rows)], facts=columns)


def _named(columns: Sequence[str]) -> str:
    """Names with commas; runs of three or more numbers as "v0 to v99"."""
    runs: list[list[str]] = []
    for name in columns:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs]
    return ", ".join(shown)


def _follows(name: str, next_name: str) -> bool:
    """Whether ``next_name`` is ``name`` with the next number at its end."""
    found = re.fullmatch(r"(.*?)(0|[1-9]\d*)", name)
    return found is not None and next_name == f"{found[1]}{int(found[2]) + 1}"


def _cleaning(facts: Facts, numbering: Numbering) -> Section:
    counts: dict[str, int] = facts.store["cleaning"]
    found = [{"What": name.replace("_", " "), "Count": f"{n:,}"} for name, n in counts.items() if n]
    absent = [name.replace("_", " ") for name, n in counts.items() if not n]
    paragraphs = [f"Looked for and not found: {', '.join(absent)}."] if absent else []
    tables = [numbering.table("What the build met or changed, in the whole store.", found)] if found else []
    reasons = [{"Reason": reason, "Utterances": f"{n:,}"} for reason, n in facts.drop_reasons.items()]
    if reasons:
        tables.append(numbering.table("Dropped: in no fold, or not in the store.", reasons))
    else:
        paragraphs.append("No utterance was dropped.")
    return Section("Cleaning and dropped utterances", paragraphs=paragraphs, tables=tables)


def _digests(facts: Facts, numbering: Numbering) -> Section:
    digests = {
        "store, everything in it": facts.store["content_digest"],
        "store, its ids, labels and texts": facts.store["utterance_digest"],
        "split manifest": facts.split.digest,
        **{f"source file {name}": digest for name, digest in sorted(facts.store["sources"].items())},
    }
    rows = [{"What": name, "Digest": digest} for name, digest in digests.items()]
    return Section("Digests", tables=[numbering.table("What the data is told by.", rows)])


def _ids(facts: Facts) -> list[str]:
    """Ids as plain text, in which nothing has to be escaped."""
    near = facts.split.shift.get("near_duplicates")
    repeated = near.get("ids", []) if isinstance(near, dict) else []
    lists = {
        "Dropped utterances": [f"{drop.id}: {drop.reason}" for drop in facts.dropped],
        "Utterances of test that nearly repeat one in train or valid": [str(name) for name in repeated],
    }
    blocks = []
    for heading, lines in lists.items():
        if lines:
            more = [f"... and {len(lines) - MOST_IDS:,} more"] if len(lines) > MOST_IDS else []
            blocks += [f"## {heading}\n", _fenced("text", "\n".join([*lines[:MOST_IDS], *more]))]
    return blocks


def _fenced(language: str, text: str) -> str:
    """A code block; its fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.strip()}\n{fence}\n"
