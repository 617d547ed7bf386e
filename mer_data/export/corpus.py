"""On whose terms a corpus is used, and how it is cited: what its source manifest says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mer_data.sources.catalogue import Collection, known_datasets, load_source_manifest
from mer_data.store.reader import FeatureStore

UNKNOWN_TERMS = "not recorded; ask those who published the corpus."


@dataclass(frozen=True)
class Corpus:
    """What an export has to say of the corpus that it came from.

    Attributes:
        dataset: its short name.
        title: its full name.
        licence: its terms, one line; those of a processed file that the store was built from stand behind.
        citation: BibTeX entries, the corpus's first; "" where none is known.
        page: where the files that the store was built from are published, if known.
    """

    dataset: str
    title: str
    licence: str
    citation: str
    page: str | None

    @property
    def terms(self) -> str:
        """The sentence that every export shows."""
        return f"The corpus's own terms apply: {self.licence}"

    @property
    def authors(self) -> tuple[str, ...]:
        """Authors of the first entry of the citation, given names first."""
        names = re.split(r"\s+and\s+", _field(self.citation, "author"))
        ordered = (" ".join(reversed([part.strip() for part in name.split(",", 1)])) for name in names)
        return tuple(name for name in ordered if name and name != "others")

    @property
    def year(self) -> str | None:
        """Year of the first entry of the citation."""
        found = re.fullmatch(r"\d{4}", _field(self.citation, "year"))
        return found.group() if found else None


def corpus_of(store: FeatureStore) -> Corpus:
    """The corpus that ``store`` was built from.

    Raises:
        SourceError: its source manifest breaks the schema.
    """
    dataset = store.dataset
    if dataset not in known_datasets():
        return Corpus(dataset, dataset, UNKNOWN_TERMS, "", None)
    manifest = load_source_manifest(dataset)
    used = _used(manifest.collections, store.attribute("sources"))
    return Corpus(
        dataset=dataset,
        title=manifest.title,
        licence=_one_line([manifest.licence, *(part.licence for part in used)]) or UNKNOWN_TERMS,
        citation="\n\n".join(_distinct([manifest.citation, *(part.citation for part in used)])),
        page=next((part.page for part in used if part.page), None),
    )


def _used(collections: Iterable[Collection], sources: Mapping[str, str]) -> list[Collection]:
    """The collections that a source file of a store is from, by its name or its checksum."""
    digests = set(sources.values())
    return [
        collection
        for collection in collections
        if any(file.name in sources or f"sha256:{file.sha256}" in digests for file in collection.files)
    ]


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(text.strip() for text in texts) if text]


def _one_line(texts: Iterable[str]) -> str:
    return " ".join(" ".join(text.split()) for text in _distinct(texts))


def _field(citation: str, name: str) -> str:
    """A field of the first BibTeX entry without its braces, "" where there is none."""
    entry = re.split(r"\n\s*@", citation.strip(), maxsplit=1)[0]
    nested = r"\{[^{}]*\}"
    value = rf'\{{((?:[^{{}}]|{nested})*)\}}|"((?:[^"{{}}]|{nested})*)"|(\w+)'
    found = re.search(rf"\b{name}\s*=\s*(?:{value})", entry, flags=re.IGNORECASE)
    text = next((group for group in found.groups() if group is not None), "") if found else ""
    return " ".join(re.sub(r"[{}]", "", text).split())
