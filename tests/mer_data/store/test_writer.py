import json
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from builders import files_below

from mer_data.errors import SourceError
from mer_data.store.digests import content_digest, utterance_digest
from mer_data.store.reader import FeatureStore
from mer_data.store.writer import StoreBlock, writing_store
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import UTTERANCE_COLUMNS, WORD_DTYPE, DroppedUtterance, Ragged

CLS, SEP = 2, 3  # of the tiny vocabulary
WIDTHS = {"audio": 2, "vision": 1}
ATTRIBUTES = {"dataset": "d", "alignment": "unaligned", "tokenizer": "tiny", "limits": {"text": 5}}


def make_block(names, texts=None, seed=0):
    """Utterances ``v$_$n``; row i has i words, i + 2 pieces, i audio and 1 vision frames."""
    rng = np.random.default_rng(seed)
    texts = texts or ["é " * i for i in range(len(names))]
    rows = [
        (n, n.split("$")[0], int(n.split("$")[-1]), i, i + 0.5, 0.2 * i, t, "train")
        for i, (n, t) in enumerate(zip(names, texts, strict=True))
    ]
    words = [np.array([("wört", i, i + 0.5)] * i, dtype=WORD_DTYPE) for i in range(len(names))]
    ids = [np.array([CLS, *range(5, 5 + i), SEP], dtype=np.int32) for i in range(len(names))]
    owners = [np.array([-1, *range(i), -1], dtype=np.int32) for i in range(len(names))]
    return StoreBlock(
        frame=pd.DataFrame(rows, columns=list(UTTERANCE_COLUMNS)),
        words=Ragged.from_rows(words, np.empty(0, dtype=WORD_DTYPE)),
        token_ids=Ragged.from_rows(ids, np.empty(0, np.int32)),
        token_words=Ragged.from_rows(owners, np.empty(0, np.int32)),
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
    with writing_store(path, WIDTHS, Tokenizer.from_pretrained("tiny", ["a b"])) as writer:
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
        with writing_store(tmp_path / "s.h5", WIDTHS, Tokenizer.from_pretrained("tiny")) as writer:
            writer.append(make_block(["a$_$1"]))
            raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        interrupted()
    assert files_below(tmp_path) == []


def test_attributes_and_drops_are_written(tmp_path):
    write(tmp_path / "s.h5", make_block(["a$_$1"]), dropped=[DroppedUtterance("a$_$2", "because")])
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


def changed(block, **columns):
    return replace(block, frame=block.frame.assign(**columns))


def times(*pairs):
    values = np.array([("a", *pair) for pair in pairs], dtype=WORD_DTYPE)
    return Ragged(values, np.array([0, 0, len(values)]))


BROKEN = {
    "segment 0": (lambda b: changed(b, id=["a$_$0", "a$_$2"], segment=[0, 2]), "ids not of the form"),
    "leading zero": (lambda b: changed(b, id=["a$_$01", "a$_$2"]), "ids not of the form"),
    "new line": (
        lambda b: changed(b, id=["a\nb$_$1", "a$_$2"], video_id=["a\nb", "a"]),
        "ids not of the form",
    ),
    "no video": (lambda b: changed(b, id=["$_$1", "a$_$2"], video_id=["", "a"]), "ids not of the form"),
    "other segment": (lambda b: changed(b, segment=[3, 2]), "ids that do not agree"),
    "label": (lambda b: changed(b, label=[3.5, 0]), r"labels outside \[-3, 3\]: 3.5"),
    "label NaN": (lambda b: changed(b, label=[np.nan, 0]), r"labels outside \[-3, 3\]: nan"),
    "fold": (
        lambda b: changed(b, fold=["dev", "train"]),
        "unknown fold 'dev', expected train, valid, test, none",
    ),
    "backwards": (lambda b: changed(b, end_s=[-1.0, 2.0]), "segments that do not run forward"),
    "endless": (lambda b: changed(b, end_s=[np.inf, 2.0]), "segments that do not run forward"),
    "half a time": (lambda b: changed(b, end_s=[np.nan, 2.0]), "segments that do not run forward"),
    "word backwards": (lambda b: replace(b, words=times((2, 1))), "words that do not run forward"),
    "words in disorder": (
        lambda b: replace(b, words=times((2, 3), (1, 2))),
        "words that begin before the word",
    ),
    "piece below 0": (
        lambda b: replace(b, token_ids=Ragged(b.token_ids.values - 9, b.token_ids.offsets)),
        "word pieces outside the vocabulary of 9: -7",
    ),
    "no [SEP]": (
        lambda b: replace(b, token_ids=Ragged(b.token_ids.values * 0 + CLS, b.token_ids.offsets)),
        r"rows not from \[CLS\] to \[SEP\]",
    ),
    "word of nobody": (
        lambda b: replace(b, token_words=Ragged(b.token_words.values + 2, b.token_words.offsets)),
        "word pieces of words that are not there",
    ),
    "frames": (
        lambda b: replace(b, streams={**b.streams, "vision": Ragged(np.full((2, 1), np.nan), np.arange(3))}),
        "vision frames with -inf, inf or NaN",
    ),
    "surrogate": (
        lambda b: changed(b, text=pd.Series(["\ud800", ""], dtype=object)),
        r"text or words of utterance 'a\$_\$1' cannot be written as UTF-8",
    ),
    "surrogate in a word": (
        lambda b: replace(b, words=Ragged(np.array([("\udcff", 0, 1)], WORD_DTYPE), np.array([0, 0, 1]))),
        r"text or words of utterance 'a\$_\$2' cannot be written as UTF-8",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_verify_would_call_an_error_is_not_written(tmp_path, name):
    change, message = BROKEN[name]
    with pytest.raises(SourceError, match=message) as caught:
        write(tmp_path / "s.h5", change(make_block(["a$_$1", "a$_$2"])))
    assert "\n" not in str(caught.value)
    assert "Mend the source." in str(caught.value)
    assert files_below(tmp_path) == []


def test_utterances_that_break_a_rule_are_named(tmp_path):
    block = changed(make_block([f"a$_${n}" for n in range(1, 6)]), label=[0, 9, 9, 9, 9])
    with pytest.raises(
        SourceError, match=r"^4 utterances that no store takes: .*found 'a\$_\$2', 'a\$_\$3', 'a"
    ):
        write(tmp_path / "s.h5", block)
