import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from described_stores import standard

from mer_data.errors import ExportError
from mer_data.export.corpus import Corpus
from mer_data.export.croissant import croissant_card, parquet_path, write_croissant
from mer_data.export.croissant_context import CONTEXT
from mer_data.export.facts import collect_facts
from mer_data.export.parquet import export_parquet
from mer_data.store.reader import FeatureStore

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph", "ignore:The inplace keyword")  # not ours


def exported(store, split, folder, name="x"):
    """The facts, and the path of the card beside the Parquet files that it describes."""
    target = folder / f"{name}.croissant.json"
    facts = collect_facts(store, split, "standard")
    write_croissant(facts, store, export_parquet(store, split, parquet_path(target)), target)
    return facts, target


@pytest.fixture
def mlc():
    return pytest.importorskip("mlcroissant", reason="mlcroissant (extra dev) is not installed")


# --- validated and read by the reference implementation ---


@pytest.mark.parametrize("alignment", ["unaligned", "aligned"])
def test_mlcroissant_reads_every_row_of_the_store(mlc, sample_stores, tmp_path, alignment, caplog):
    store = FeatureStore.open(sample_stores[alignment])
    split = standard(store)
    _, target = exported(store, split, tmp_path)
    records = {
        row["utterances/id"].decode(): row
        for row in mlc.Dataset(jsonld=str(target)).records(record_set="utterances")
    }
    assert "context" not in caplog.text  # it is the one of the specification
    assert len(records) == sum(map(len, split.splits.values()))
    for fold, chosen in split.indices(store.utterances["id"]).items():
        for index in chosen.tolist():
            own, read = store.utterances.iloc[index], store.read([index])
            row = {name.split("/")[1]: value for name, value in records[own["id"]].items()}
            for name in ("video_id", "text"):
                assert row[name] == own[name].encode(), name
            for name in ("segment", "start_s", "end_s", "label"):
                assert row[name] == own[name], name
            assert type(row["label"]) is np.float32
            assert row["fold"] == fold.encode()
            assert row["class_seven"] == f"{round(float(own['label']))}".encode()
            assert row["tokens"] == read.token_ids[0].tolist()
            for name in ("audio", "vision"):
                frames = np.array(row[name], np.float32).reshape(-1, store.width(name))
                np.testing.assert_array_equal(frames, read.streams[name][0])


def test_mlcroissant_reads_words_and_counts(mlc, sample_store, tmp_path):
    facts, target = exported(sample_store, standard(sample_store), tmp_path)
    dataset = mlc.Dataset(jsonld=str(target))
    words = [
        (row["words/id"].decode(), int(row["words/position"]), row["words/word"].decode(), row["words/end_s"])
        for row in dataset.records(record_set="words")
    ]
    ids = sample_store.utterances["id"]
    wanted = [
        (ids[row], position, str(word["token"]), word["end_s"])
        for chosen in facts.split.indices(ids).values()
        for row in chosen.tolist()
        for position, word in enumerate(sample_store.words(row))
    ]
    assert words == wanted
    counts = {row["cleaning/name"]: row["cleaning/count"] for row in dataset.records("cleaning")}
    assert counts == sample_store.attribute("cleaning")
    folds = {row["folds/name"]: (row["folds/count"], row["folds/url"]) for row in dataset.records("folds")}
    assert folds["valid"] == (len(facts.split.splits["valid"]), "cr:ValidationSplit")


def test_a_card_with_all_that_a_manifest_says_has_no_warning(mlc, small_store, small_split, tmp_path):
    facts, target = exported(small_store, small_split, tmp_path)
    only = mlc.Dataset(jsonld=str(target)).metadata.ctx.issues
    assert not only.errors
    assert all("datePublished" in warning for warning in only.warnings)  # the sample has no year
    corpus = Corpus("mosi", "MOSI", "Ask.", "@a{k, author={B, A}, year={2001}}", "https://example.org/mosi")
    tables = export_parquet(small_store, small_split, parquet_path(target))
    write_croissant(replace(facts, corpus=corpus), small_store, tables, target)
    metadata = mlc.Dataset(jsonld=str(target)).metadata
    assert not metadata.ctx.issues.errors
    assert not metadata.ctx.issues.warnings
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert [person.name for person in metadata.creators] == ["A B"]
    assert metadata.cite_as == corpus.citation
    assert metadata.license[0].description == "Ask."
    assert metadata.date_published.year == 2001
    assert metadata.url == corpus.page
    assert "Speakers can be identified" in metadata.personal_sensitive_information[0]


def test_any_file_name_can_be_read(mlc, small_store, small_split, tmp_path):
    _, target = exported(small_store, small_split, tmp_path, "any näme #1 (mine)")
    assert len(list(mlc.Dataset(jsonld=str(target)).records("utterances"))) == 5


def test_a_card_of_missing_files_is_told(mlc, small_store, small_split, tmp_path):
    _, target = exported(small_store, small_split, tmp_path)
    (tmp_path / "x.parquet").unlink()
    with pytest.raises(mlc.GenerationError, match="sequential generation"):
        list(mlc.Dataset(jsonld=str(target)).records("utterances"))


# --- what the card says ---


def test_files_with_size_and_checksum(small_store, small_split, tmp_path):
    _, target = exported(small_store, small_split, tmp_path, "any name")
    value = json.loads(target.read_text(encoding="utf-8"))
    assert [file["contentUrl"] for file in value["distribution"]] == [
        "any name.parquet",
        "any name.words.parquet",
    ]
    for file in value["distribution"]:
        content = (tmp_path / file["contentUrl"]).read_bytes()
        assert file["contentSize"] == f"{len(content)} B"
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


def test_digests_terms_and_counts(small_store, small_split, tmp_path):
    facts, target = exported(small_store, small_split, tmp_path)
    value = json.loads(target.read_text(encoding="utf-8"))
    assert {entry["propertyID"]: entry["value"] for entry in value["identifier"]} == {
        "store digest": small_store.content_digest,
        "utterance digest": small_store.utterance_digest,
        "split digest": small_split.digest,
    }
    assert value["license"]["description"] == facts.corpus.licence
    records = {entry["@id"]: entry for entry in value["recordSet"]}
    assert records["dropped"]["data"] == [{"dropped/name": "not used", "dropped/count": 1}]
    assert records["classes_binary"]["data"][2] == {
        "classes_binary/name": "positive",
        "classes_binary/index": 2,
    }
    fields = {entry["name"]: entry for entry in records["utterances"]["field"]}
    assert (fields["audio"]["dataType"], fields["audio"]["arrayShape"]) == ("cr:Float32", "-1,3")
    assert fields["fold"]["references"] == {"field": {"@id": "folds/name"}}
    assert not {"datePublished", "url", "creator"} & set(value)  # nothing is made up for the sample


def test_nothing_counted_is_no_record_set(sample_store, tmp_path):
    facts, target = exported(sample_store, standard(sample_store), tmp_path)
    facts = replace(facts, store={**facts.store, "cleaning": {}, "dropped": []})
    tables = export_parquet(sample_store, facts.split, parquet_path(target))
    names = [entry["@id"] for entry in croissant_card(facts, sample_store, tables)["recordSet"]]
    assert names == ["folds", "classes_binary", "classes_seven", "utterances", "words"]


def test_equal_input_gives_equal_bytes(small_store, small_split, tmp_path):
    first, second = (exported(small_store, small_split, tmp_path / name)[1] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_the_context_has_every_name_that_is_used(small_store, small_split, tmp_path):
    _, target = exported(small_store, small_split, tmp_path)
    schema_org = {"name", "description", "license", "version", "keywords", "identifier", "distribution"}
    schema_org |= {"contentUrl", "contentSize", "encodingFormat", "sha256", "propertyID"}

    def names(value):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name != "data":
                    yield name
                    yield from names(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from names(inner)

    card = json.loads(target.read_text(encoding="utf-8"))
    del card["@context"]
    used = {name for name in names(card) if not name.startswith(("@", "rai:"))}
    assert used - set(CONTEXT) - schema_org - {"value"} == set()


@pytest.mark.parametrize("name", ["x.parquet", "x", "x.jsonl"])
def test_a_card_is_a_json_file(tmp_path, name):
    with pytest.raises(ExportError, match=rf"a Croissant card is a \.json file: found {name}"):
        parquet_path(tmp_path / name)


def test_where_the_parquet_file_stands(tmp_path):
    assert parquet_path(tmp_path / "a.b.croissant.json") == tmp_path / "a.b.parquet"
    assert parquet_path(tmp_path / "a.json") == tmp_path / "a.parquet"
