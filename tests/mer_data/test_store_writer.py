import json

import h5py
import numpy as np
import pandas as pd
import pytest
from builders import files_below

from mer_data.errors import SourceError
from mer_data.store import FeatureStore, content_digest, utterance_digest
from mer_data.store_writer import StoreBlock, writing_store
from mer_data.utterances import UTTERANCE_COLUMNS, WORD_DTYPE, Drop, Ragged
from mer_data.word_pieces import WordPieces

WIDTHS = {"audio": 2, "vision": 1}
ATTRIBUTES = {"dataset": "d", "alignment": "unaligned", "tokenizer": "tiny", "limits": {"text": 5}}


def make_block(names, texts=None, seed=0):
    """Utterances ``v$_$n``; row i has i words, i + 2 pieces, i audio and 1 vision frames."""
    rng = np.random.default_rng(seed)
    texts = texts or ["é " * i for i in range(len(names))]
    rows = [
        (n, n.split("$")[0], i + 1, i, i + 0.5, 0.2 * i, t, "train")
        for i, (n, t) in enumerate(zip(names, texts, strict=True))
    ]
    words = [np.array([("wört", i, i + 0.5)] * i, dtype=WORD_DTYPE) for i in range(len(names))]
    ids = [np.arange(i + 2, dtype=np.int32) for i in range(len(names))]
    return StoreBlock(
        frame=pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)),
        words=Ragged.from_rows(words, np.empty(0, dtype=WORD_DTYPE)),
        token_ids=Ragged.from_rows(ids, np.empty(0, np.int32)),
        token_words=Ragged.from_rows([row - 1 for row in ids], np.empty(0, np.int32)),
        streams={
            "audio": Ragged.from_rows(
                [rng.normal(size=(i, 2)) for i in range(len(names))], np.empty((0, 2), np.float32)
            ),
            "vision": Ragged.from_rows(
                [rng.normal(size=(1, 1)) for _ in names], np.empty((0, 1), np.float32)
            ),
        },
    )


def write(path, *blocks, attributes=ATTRIBUTES, dropped=()):
    with writing_store(path, WIDTHS, WordPieces.named("tiny", ["a b"])) as writer:
        for block in blocks:
            writer.append(block)
        frame = pd.concat([block.frame for block in blocks])
        return writer.finish(attributes, frame, dropped)


def test_blocks_are_appended_in_order(tmp_path):
    blocks = [make_block(["a$_$1", "a$_$2", "a$_$3"]), make_block(["b$_$1", "b$_$2"], seed=1)]
    digest = write(tmp_path / "s.h5", *blocks)
    store = FeatureStore.open(tmp_path / "s.h5")
    assert len(store) == 5
    assert store.utterance_digest == digest
    assert store.utterances["id"].tolist() == ["a$_$1", "a$_$2", "a$_$3", "b$_$1", "b$_$2"]
    assert store.utterances["text"].tolist() == ["", "é ", "é é ", "", "é "]
    rows = store.read(range(5))
    for number, (block, row) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        for modality in ("audio", "vision"):
            expected = blocks[block].streams[modality][row]
            np.testing.assert_array_equal(rows.streams[modality][number], expected)
        np.testing.assert_array_equal(rows.token_ids[number], blocks[block].token_ids[row])
        np.testing.assert_array_equal(rows.token_words[number], blocks[block].token_words[row])
        assert store.words(number).tolist() == blocks[block].words[row].tolist()


def test_how_utterances_are_cut_into_blocks_does_not_matter(tmp_path):
    whole = make_block(["a$_$1", "a$_$2"])
    empty = make_block([])
    write(tmp_path / "one.h5", whole)
    write(tmp_path / "two.h5", empty, whole, empty)
    digests = [FeatureStore.open(tmp_path / name).content_digest for name in ("one.h5", "two.h5")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("names", [(["a$_$1", "a$_$1"],), (["a$_$1"], ["b$_$1", "a$_$1"])])
def test_an_id_twice_is_refused_and_nothing_is_left(tmp_path, names):
    with pytest.raises(SourceError, match=r"utterance a\$_\$1 stands twice in the source"):
        write(tmp_path / "s.h5", *(make_block(part) for part in names))
    assert files_below(tmp_path) == []


def test_an_exception_leaves_nothing(tmp_path):
    def interrupted():
        with writing_store(tmp_path / "s.h5", WIDTHS, WordPieces.named("tiny")) as writer:
            writer.append(make_block(["a$_$1"]))
            raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        interrupted()
    assert files_below(tmp_path) == []


def test_attributes_and_drops_are_written(tmp_path):
    write(tmp_path / "s.h5", make_block(["a$_$1"]), dropped=[Drop("a$_$2", "because")])
    store = FeatureStore.open(tmp_path / "s.h5")
    assert store.limits == {"text": 5}
    assert store.dataset == "d"
    with h5py.File(tmp_path / "s.h5") as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("mer-data/store", 1)
        assert json.loads(bytes(file["dropped_json"][()])) == [{"id": "a$_$2", "reason": "because"}]


def test_every_value_is_in_chunks_with_checksums(tmp_path):
    write(tmp_path / "s.h5", make_block(["a$_$1", "a$_$2"]))
    unchecked = []
    with h5py.File(tmp_path / "s.h5") as file:
        file.visititems(
            lambda name, d: (
                unchecked.append(name) if isinstance(d, h5py.Dataset) and not d.fletcher32 else None
            )
        )
    assert unchecked == ["dropped_json"]  # told in the content digest


def test_content_digest_covers_every_dataset_and_attribute(tmp_path):
    write(tmp_path / "s.h5", make_block(["a$_$1", "a$_$2", "a$_$3"]))
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        stated = file.attrs["content_digest"]
        assert content_digest(file) == stated
        names = []
        file.visititems(lambda name, d: names.append(name) if isinstance(d, h5py.Dataset) else None)
        assert len(names) == 25
        for name in names:
            before = file[name][()]
            file[name][...] = before + 1
            assert content_digest(file) != stated, name
            file[name][...] = before
        for name in set(file.attrs) - {"content_digest"}:
            before = file.attrs[name]
            file.attrs[name] = f"{before} "
            assert content_digest(file) != stated, name
            file.attrs[name] = before
        assert content_digest(file) == stated


def test_utterance_digest_is_of_ids_labels_and_texts_in_any_order():
    frame = make_block(["a$_$1", "b$_$1", "c$_$1"]).frame
    digest = utterance_digest(frame)
    assert utterance_digest(frame.iloc[::-1]) == digest
    assert utterance_digest(frame.assign(fold="test", start_s=9.0, segment=7)) == digest
    assert utterance_digest(frame.assign(label=frame["label"].astype(np.float32))) == digest
    assert utterance_digest(frame.assign(label=frame["label"] + 0.1)) != digest
    assert utterance_digest(frame.assign(text=["x", "y", "z"])) != digest
    assert utterance_digest(frame.assign(id=["a$_$1", "b$_$1", "d$_$1"])) != digest
    assert utterance_digest(frame.iloc[:2]) != digest
