"""``docs/store-format.md`` says of every dataset and attribute what a freshly built store has."""

import hashlib
import json
import re

import h5py
import numpy as np
import pytest
from pages import blocks, table_rows, text_of

from mer_data.store.reader import FORMAT, JSON_ATTRIBUTES, VERSION, FeatureStore

PAGE = "store-format.md"
ALIGNMENTS = ("unaligned", "aligned")


@pytest.fixture(params=ALIGNMENTS)
def store_path(request, sample_stores):
    return sample_stores[request.param]


@pytest.fixture
def file(store_path):
    with h5py.File(store_path) as opened:
        yield opened


def datasets_of(file):
    found = {}
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def bare(cell):
    assert re.fullmatch(r"`[a-z_/]+`", cell), cell
    return cell.strip("`")


def test_every_dataset_is_named_once_with_its_type(file):
    rows = table_rows(PAGE, "dataset")
    named = [bare(row[0]) for row in rows]
    found = datasets_of(file)
    assert sorted(named) == sorted(found)
    assert {bare(row[0]): row[1] for row in rows} == {name: str(item.dtype) for name, item in found.items()}


def test_equal_letters_are_equal_sizes(file):
    sizes = {}
    for name, _, shape, _ in table_rows(PAGE, "dataset"):
        letters = [letter.strip() for letter in shape.strip("()").split(",")]
        actual = file[bare(name)].shape
        assert len(letters) == len(actual), name
        for letter, size in zip(letters, actual, strict=True):
            base, _, more = letter.partition(" + ")
            if base.isdigit():
                assert size == int(base)
            else:
                assert sizes.setdefault(base, size - int(more or 0)) == size - int(more or 0), name
    assert sizes["N"] == 48
    assert sizes["d_a"] != sizes["d_v"]


def test_offsets_end_where_the_values_do(file):
    for name, dataset in datasets_of(file).items():
        if name.endswith("offsets"):
            values = {
                "words/offsets": "words/times",
                "tokens/offsets": "tokens/ids",
                "audio/offsets": "audio/values",
                "vision/offsets": "vision/values",
            }.get(name, name.replace("_offsets", "_values"))
            assert dataset[0] == 0
            assert dataset[-1] == file[values].shape[0]
            assert (np.diff(dataset) >= 0).all()


def test_every_attribute_is_named_once_with_its_type(file):
    rows = table_rows(PAGE, "attribute")
    assert sorted(bare(row[0]) for row in rows) == sorted(file.attrs)
    for name, kind, _ in rows:
        value = file.attrs[bare(name)]
        assert isinstance(value, np.integer if kind == "integer" else str)
        assert (kind == "JSON") == (bare(name) in JSON_ATTRIBUTES)
        if kind == "JSON":
            assert json.dumps(json.loads(value), sort_keys=True) == value


def test_format_and_version_are_those_of_the_code():
    assert f"Format `{FORMAT}`, version {VERSION}." in text_of(PAGE)
    told = {bare(row[0]): row[2] for row in table_rows(PAGE, "attribute")}
    assert told["version"] == f"1; {VERSION} without audio or vision"
    assert told["format"] == f"`{FORMAT}`"


def test_every_count_of_cleaning_is_explained(store_path):
    told = re.findall(r"`(\w+)`", " ".join(row[0] for row in table_rows(PAGE, "count")))
    assert len(told) == len(set(told))
    names = {re.sub(r"(^|_)M(?=_|$)", rf"\1{m}", name) for name in told for m in ("audio", "vision")}
    assert set(FeatureStore.open(store_path).attribute("cleaning")) <= names


def test_checksums_chunks_and_compression_are_as_told(file):
    found = datasets_of(file)
    assert {name for name, item in found.items() if not item.fletcher32} == {"dropped_json"}
    assert {name for name, item in found.items() if item.compression} == {"tokens/tokenizer_json"}
    for name, item in found.items():
        if name not in ("dropped_json", "tokens/tokenizer_json"):
            size = 16 * 1024 if name in ("audio/values", "vision/values") else 64 * 1024
            row = item.dtype.itemsize * int(np.prod(item.shape[1:]))
            assert size - row < int(np.prod(item.chunks)) * item.dtype.itemsize <= size


def test_digests_are_computed_as_told(file, store_path):
    store = FeatureStore.open(store_path)
    utterances = store.utterances.sort_values("id")
    lists = zip(utterances["id"], utterances["label"].astype(float), utterances["text"], strict=True)
    told = hashlib.sha256("".join(json.dumps(list(one)) for one in lists).encode())
    assert store.utterance_digest == f"sha256:{told.hexdigest()}"
    told = hashlib.sha256()
    for name, dataset in sorted(datasets_of(file).items()):
        told.update(f"{name} {dataset.dtype.str} {dataset.shape}".encode())
        told.update(dataset[()].tobytes(order="C"))
    for name, value in sorted(file.attrs.items()):
        if name != "content_digest":
            told.update(f"{name}={value}".encode())
    assert store.content_digest == f"sha256:{told.hexdigest()}"


def test_a_store_is_read_as_told_without_this_project(sample_stores):
    (code,) = blocks(PAGE, "python")
    here = {}
    exec(code.replace("data/sample/store/unaligned.h5", str(sample_stores["unaligned"])), here)
    store = FeatureStore.open(sample_stores["unaligned"])
    np.testing.assert_array_equal(here["audio"], store.read([here["row"]]).streams["audio"][0])
    assert here["text"] == store.utterances["text"][here["row"]] != ""
