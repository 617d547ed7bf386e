"""A Croissant card (JSON-LD, version 1.1) of a Parquet export: its files, its columns, on whose terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from mer_data.errors import ExportError
from mer_data.export.card import CROISSANT
from mer_data.export.croissant_context import CONFORMS_TO, CONTEXT
from mer_data.export.facts import Facts
from mer_data.export.parquet import WORD_SCHEMA, ParquetExport, utterance_schema
from mer_data.export.statements import limits, speakers, use
from mer_data.files.writing import sha256_file, write_json
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS
from mer_data.utterances import FOLDS
from mer_data.version import __version__

_PARQUET = "application/x-parquet"
_UTTERANCES, _WORDS = "utterances-file", "words-file"
"""Ids of the two files; names of files may have characters that an id must not have."""
_FOLD_TYPES = dict(zip(FOLDS, ("cr:TrainingSplit", "cr:ValidationSplit", "cr:TestSplit"), strict=True))
_DATA_TYPES = {
    pa.string(): "sc:Text",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}
_DESCRIPTIONS = {
    "id": "Utterance, as video$_$segment; words have the id of theirs.",
    "video_id": "Video that the utterance is from.",
    "segment": "Number of the segment in its video, from 1.",
    "start_s": "Start in seconds of the video; missing where the source has no times.",
    "end_s": "End in seconds of the video; missing where the source has no times.",
    "fold": "Fold of the split.",
    "label": "Sentiment in [-3, 3], averaged over annotators.",
    "class_binary": "Sign of the label.",
    "class_seven": "Rounded label.",
    "text": "What is said.",
    "tokens": "Word pieces, with the special ones at both ends.",
    "token_words": "For each word piece the position of its word, -1 where it has none.",
    "audio": "Audio features, one row per frame.",
    "vision": "Vision features, one row per frame.",
    "position": "Place of the word in its utterance, from 0.",
    "word": "The word as transcribed.",
}


def parquet_path(target: Path) -> Path:
    """The Parquet file that the card at ``target`` describes.

    Raises:
        ExportError: ``target`` does not end in .json.
    """
    if target.suffix != ".json":
        raise ExportError("a Croissant card is a .json file", found=target.name)
    return target.with_name(f"{target.name.removesuffix(CROISSANT).removesuffix('.json')}.parquet")


def write_croissant(facts: Facts, store: FeatureStore, tables: ParquetExport, target: str | Path) -> None:
    """Write the card of ``tables`` beside them; equal files give equal bytes.

    Args:
        facts: of the same store and split.
        store: gives the widths of the streams.
        tables: the Parquet files, in the folder of ``target``.
        target: the card.
    """
    target = Path(target)
    write_json(target, croissant_card(facts, store, tables))


def croissant_card(facts: Facts, store: FeatureStore, tables: ParquetExport) -> dict[str, Any]:
    """The card as JSON values; addresses of files are relative to its own."""
    corpus, digests = facts.corpus, _digests(facts)
    card = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": f"{corpus.dataset}.{facts.store_name}.{facts.split_name}",
        "description": _description(facts),
        "url": corpus.page,
        "license": {"@type": "sc:CreativeWork", "name": "Terms of the corpus", "description": corpus.licence},
        "citeAs": corpus.citation or None,
        "creator": [{"@type": "sc:Person", "name": name} for name in corpus.authors],
        "datePublished": corpus.year,
        "version": f"1.0.0+{digests['store'][7:19]}.{digests['split'][7:19]}",
        "sdVersion": __version__,
        "keywords": ["multimodal", "sentiment analysis", corpus.dataset, facts.split.kind],
        "identifier": [
            {"@type": "sc:PropertyValue", "propertyID": f"{name} digest", "value": digest}
            for name, digest in digests.items()
        ],
        "rai:dataUseCases": use(facts),
        "rai:dataLimitations": limits(facts),
        "rai:personalSensitiveInformation": [speakers(facts)],
        "rai:dataPreprocessingProtocol": _preprocessing(facts),
        "distribution": [
            _file(_UTTERANCES, tables.path, "One row per utterance."),
            _file(_WORDS, tables.words_path, "One row per word."),
        ],
        "recordSet": _record_sets(facts, store),
    }
    return {name: value for name, value in card.items() if value not in (None, [])}


def _record_sets(facts: Facts, store: FeatureStore) -> list[dict[str, Any]]:
    """The rows of both files, what their columns refer to, and the counts of the cleaning."""
    counted = {"name": "sc:Text", "count": "cr:Int64"}
    folds = [(fold.name, _FOLD_TYPES[fold.name], fold.num_utterances) for fold in facts.folds]
    sets = [
        _embedded(
            "folds",
            "Folds of the split.",
            {"name": "sc:Text", "url": ["sc:URL", "cr:Split"], "count": "cr:Int64"},
            folds,
            dataType="cr:Split",
        )
    ]
    for task in TASKS.values():
        classes = [(label, index) for index, label in enumerate(task.classes)]
        name, text = f"classes_{task.name}", f"Classes of the task {task.name}."
        fields = {"name": "sc:Text", "index": "cr:Int64"}
        sets.append(_embedded(name, text, fields, classes, dataType="sc:Enumeration"))
    sets.append(_records("utterances", _UTTERANCES, utterance_schema(store), ["id"]))
    sets.append(_records("words", _WORDS, WORD_SCHEMA, ["id", "position"]))
    if facts.store["cleaning"]:
        text = "What the build met or changed, in the whole store."
        sets.append(_embedded("cleaning", text, counted, facts.store["cleaning"].items()))
    if facts.drop_reasons:
        text = "Utterances in no fold, or not in the store, by reason."
        sets.append(_embedded("dropped", text, counted, facts.drop_reasons.items()))
    return sets


def _description(facts: Facts) -> str:
    sizes = ", ".join(f"{fold.num_utterances} in {fold.name}" for fold in facts.folds)
    return (
        f"{facts.corpus.title}: text, audio and vision features of {facts.num_utterances} utterances"
        f" ({sizes}) with a sentiment label. Store {facts.store_name}, split {facts.split_name}."
    )


def _digests(facts: Facts) -> dict[str, str]:
    return {
        "store": facts.store["content_digest"],
        "utterance": facts.store["utterance_digest"],
        "split": facts.split.digest,
    }


def _preprocessing(facts: Facts) -> list[str]:
    streams = [
        f"{modality}: feature set {facts.store['feature_sets'][modality]}, frames {facts.frames(modality)}"
        for modality in facts.columns
    ]
    pieces = f"word pieces of {facts.store['tokenizer']}"
    return [*streams, pieces, "feature values that are not finite were set to 0"]


def _file(name: str, path: Path, description: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": path.name,
        "description": description,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _PARQUET,
        "sha256": sha256_file(path).removeprefix("sha256:"),
    }


def _embedded(
    name: str, description: str, fields: Mapping[str, Any], rows: Iterable[Sequence[Any]], **more: str
) -> dict[str, Any]:
    """A record set whose records are in the card; its field ``name`` is the key.

    Args:
        name: of the set.
        description: of the set.
        fields: data type of every field, by its name.
        rows: the values of the fields.
        more: further properties of the set.
    """
    columns = [
        {"@type": "cr:Field", "@id": f"{name}/{field}", "name": field, "dataType": data_type}
        for field, data_type in fields.items()
    ]
    ids = [column["@id"] for column in columns]
    data = [dict(zip(ids, row, strict=True)) for row in rows]
    return _record_set(name, ["name"], columns, description=description, **more) | {"data": data}


def _records(name: str, file: str, schema: pa.Schema, key: list[str]) -> dict[str, Any]:
    """A record set with a field for every column of a file."""
    return _record_set(name, key, [_field(name, file, column) for column in schema])


def _record_set(name: str, key: list[str], fields: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    keys = [{"@id": f"{name}/{column}"} for column in key]
    shown = {"@type": "cr:RecordSet", "@id": name, "name": name, **more}
    return {**shown, "key": keys[0] if len(keys) == 1 else keys, "field": fields}


def _field(records: str, file: str, column: pa.Field) -> dict[str, Any]:
    kind, shape = column.type, []
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        shape.append(str(kind.list_size) if pa.types.is_fixed_size_list(kind) else "-1")
        kind = kind.value_type
    data_type = _DATA_TYPES[kind]
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{records}/{column.name}",
        "name": column.name,
        "description": _DESCRIPTIONS[column.name],
        "dataType": [data_type, "cr:Label"] if column.name == "label" else data_type,
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
    if shape:
        field |= {"isArray": True, "arrayShape": ",".join(shape)}
    references = _REFERENCES.get((records, column.name))
    return field if references is None else {**field, "references": {"field": {"@id": references}}}


_REFERENCES = {
    ("utterances", "fold"): "folds/name",
    **{("utterances", f"class_{task}"): f"classes_{task}/name" for task in TASKS},
}
"""Columns whose values are taken from another record set. That of words to utterances is told in words only:
mlcroissant (1.1.1) reads and joins both files for it."""
