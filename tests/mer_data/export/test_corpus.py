import json
import re

import h5py
import pytest

from mer_data.export.corpus import UNKNOWN_TERMS, Corpus, corpus_of
from mer_data.sources.catalogue import load_source_manifest
from mer_data.store.reader import FeatureStore


def with_attributes(store, **changes):
    store.close()
    with h5py.File(store.path, "a") as file:
        file.attrs.update(changes)
    return FeatureStore.open(store.path)


def cited(text):
    return Corpus("x", "X", "", text, None)


@pytest.mark.parametrize("dataset", ["mosi", "mosei", "sample"])
def test_terms_and_citation_are_those_of_the_source_manifest(small_store, dataset):
    corpus = corpus_of(with_attributes(small_store, dataset=dataset))
    manifest = load_source_manifest(dataset)
    assert corpus.title == manifest.title
    assert corpus.licence == " ".join(manifest.licence.split())
    assert corpus.citation == manifest.citation.strip()
    assert corpus.terms == f"The corpus's own terms apply: {corpus.licence}"


def test_names_and_year_of_the_real_citation(small_store):
    corpus = corpus_of(with_attributes(small_store, dataset="mosi"))
    assert corpus.authors == ("Amir Zadeh", "Rowan Zellers", "Eli Pincus", "Louis-Philippe Morency")
    assert corpus.year == "2016"


def test_a_corpus_without_a_manifest_does_not_seem_free(small_store):
    corpus = corpus_of(with_attributes(small_store, dataset="elsewhere"))
    assert corpus == Corpus("elsewhere", "elsewhere", UNKNOWN_TERMS, "", None)
    assert corpus.authors == ()
    assert corpus.year is None


@pytest.mark.parametrize("by", ["name", "checksum"])
def test_those_who_processed_a_file_are_cited_too(small_store, by):
    manifest = load_source_manifest("mosi")
    collection, file = next((c, f) for c, f in manifest.published() if f.role == "processed" and f.sha256)
    sources = {file.name: "sha256:0"} if by == "name" else {"mine.pkl": f"sha256:{file.sha256}"}
    corpus = corpus_of(with_attributes(small_store, dataset="mosi", sources=json.dumps(sources)))
    assert corpus.citation == f"{manifest.citation.strip()}\n\n{collection.citation.strip()}"
    assert corpus.licence.endswith(collection.licence)
    assert corpus.page == collection.page
    assert corpus.authors[0] == "Amir Zadeh"


@pytest.mark.parametrize(
    ("entry", "authors", "year"),
    [
        ("@a{k, author={B, A and D, C}, year={2001}}", ("A B", "C D"), "2001"),
        ('@a{k, Author = "Ann B and Carl {van D}", YEAR = 2001}', ("Ann B", "Carl van D"), "2001"),
        ('@a{k, author = {M{\\"u}ller, K. and others}, year = {in press}}', ('K. M\\"uller',), None),
        ("@a{k, title={A}}\n@b{l, author={X, Y}, year={1999}}", (), None),
        ("no BibTeX at all", (), None),
        ("", (), None),
    ],
)
def test_authors_and_year_of_the_first_entry(entry, authors, year):
    assert cited(entry).authors == authors
    assert cited(entry).year == year


def test_a_licence_of_several_lines_is_one_line(monkeypatch, small_store):
    manifest = load_source_manifest("mosi").model_copy(update={"licence": "For research.\n\n  Ask first. "})
    monkeypatch.setattr("mer_data.export.corpus.load_source_manifest", lambda name: manifest)
    terms = corpus_of(with_attributes(small_store, dataset="mosi")).terms
    assert re.fullmatch(r"[^\n]+: For research\. Ask first\.", terms)
