"""The dataset card: terms, counts, cleaning, shift and digests of an export, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from mer_data.export.facts import Facts
from mer_data.export.remake import commands_again
from mer_data.export.statements import limits, speakers, use
from mer_data.files.writing import write_text
from mer_data.files.yaml_files import to_yaml
from mer_data.reports.formatting import UNKNOWN, cleaning_rows, measure, number, percent
from mer_data.reports.provenance import provenance
from mer_data.reports.sections.shift import METRICS
from mer_data.reports.templating import render

SUFFIX = ".card.md"
CROISSANT = ".croissant.json"
MOST_IDS = 100
"""Ids of a kind that a card lists; the split manifest and the store have them all."""
NUM_TOP_WORDS = 10


def card_path(target: Path) -> Path:
    """Where the card of the export at ``target`` goes: into the same folder."""
    stem = target.name.removesuffix(CROISSANT)
    if stem == target.name:
        stem = target.stem
    return target.with_name(f"{stem}{SUFFIX}")


def write_card(facts: Facts, target: Path) -> None:
    """Write the card; equal facts give equal bytes."""
    write_text(target, card(facts))


def card(facts: Facts) -> str:
    """The card as GitHub-flavoured Markdown, with the header that the Hugging Face hub reads."""
    cleaned, not_found = cleaning_rows(facts.store["cleaning"])
    classes = {
        task: [{"Fold": fold.name, **fold.classes(task)} for fold in facts.folds]
        for task in ("binary", "seven")
    }
    folds = [
        {
            "Fold": fold.name,
            "Utterances": number(fold.num_utterances, 0),
            "Videos": number(fold.num_videos, 0),
            "Hours": number(fold.hours, 2),
            **row,
        }
        for fold, row in zip(facts.folds, classes["binary"], strict=True)
    ]
    return render(
        "card.md.j2",
        "mer_data.export",
        facts=facts,
        header=_header(facts),
        provenance=provenance(facts.split),
        speakers=speakers(facts),
        use_and_limits=[*use(facts), *limits(facts)],
        metric=METRICS[facts.shift_task.name],
        not_found=not_found,
        folds=pd.DataFrame(folds),
        seven=pd.DataFrame(classes["seven"]),
        streams=pd.DataFrame(_streams(facts)),
        cleaned=cleaned,
        drop_reasons={reason: number(n, 0) for reason, n in facts.drop_reasons.items()},
        sources=[[f"source file {name}", digest] for name, digest in sorted(facts.store["sources"].items())],
        top_words=_top_words(facts),
        columns={modality: _named(names) or UNKNOWN for modality, names in facts.columns.items()},
        ids=_ids(facts),
        commands=fenced("bash", "\n".join(commands_again(facts))),
        citation=fenced("bibtex", facts.corpus.citation) if facts.corpus.citation else None,
        number=count(1).__next__,
        frame=pd.DataFrame,
    )


def _header(facts: Facts) -> str:
    fields = {
        "pretty_name": facts.corpus.title,
        "license": "other",
        "license_name": "terms of the corpus",
        "tags": ["multimodal", "sentiment-analysis", facts.corpus.dataset],
    }
    return to_yaml(fields)


def _streams(facts: Facts) -> list[dict[str, str]]:
    store = facts.store
    return [
        {
            "Stream": modality,
            "Feature set": store["feature_sets"][modality],
            "Columns": str(len(names)),
            "Frames": facts.frames(modality),
            "Median": number(store["lengths"][modality]["50%"], 0),
            "Longest": number(store["lengths"][modality]["max"], 0),
            "Served to a model": f"at most {store['limits'][modality]}",
        }
        for modality, names in facts.columns.items()
    ]


def _named(columns: Sequence[str]) -> str:
    """Names with commas; runs of three or more numbers as "v0 to v99"."""
    runs: list[list[str]] = []
    for name in columns:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _follows(name: str, next_name: str) -> bool:
    """Whether ``next_name`` is ``name`` with the next number at its end."""
    found = re.fullmatch(r"(.*?)(0|[1-9]\d*)", name)
    return found is not None and next_name == f"{found[1]}{int(found[2]) + 1}"


def _top_words(facts: Facts) -> list[dict[str, str]]:
    """The words that moved the most, with their shares of every class; none of a split without a search."""
    entries = facts.split.shift.get("top_words") if facts.split.kind == "ood" else None
    return [
        {
            "Word": str(entry["word"]),
            "Bits": number(measure(entry, "divergence_bits"), 3),
            **{
                f"{name}, {side}": percent(measure(entry, f"{side}_shares", name), 0)
                for side in ("rest", "shifted")
                for name in facts.shift_task.classes
            },
        }
        for entry in (entries or [])[:NUM_TOP_WORDS]
    ]


def _ids(facts: Facts) -> dict[str, Markup]:
    """Ids by what they have in common, as plain text, in which nothing has to be escaped."""
    near = facts.split.shift.get("near_duplicates")
    lists = {
        "Dropped utterances": [f"{drop.id}: {drop.reason}" for drop in facts.dropped],
        "Utterances of test that nearly repeat one in train or valid": [
            str(name) for name in (near.get("ids", []) if isinstance(near, dict) else [])
        ],
    }
    for lines in lists.values():
        if len(lines) > MOST_IDS:
            lines[MOST_IDS:] = [f"... and {len(lines) - MOST_IDS:,} more"]
    return {heading: fenced("text", "\n".join(lines)) for heading, lines in lists.items() if lines}


def fenced(language: str, text: str) -> Markup:
    """A code block; its fence is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return Markup(f"{fence}{language}\n{text.strip()}\n{fence}")
