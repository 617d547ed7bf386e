"""A block of a source made ready for a store: cleaned, tokenised and aligned, and what was met counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.alignment import average_frames, resample, same_words, shorten
from mer_data.errors import SourceError
from mer_data.sources import Source
from mer_data.store.writer import StoreBlock
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import WORD_DTYPE, DroppedUtterance, Ragged, UtteranceBlock

Alignment = Literal["aligned", "unaligned"]
SAME_WORDS = "utterances_with_the_words_of_their_text"
OTHER_WORDS = "utterances_with_other_words_than_their_text"
NUM_EXAMPLES = 3
"""Utterances with other words than their text that a warning shows."""


@dataclass(frozen=True)
class Prepared:
    """A block ready to be written, and what was met in it.

    Attributes:
        ready: what is written.
        published: fold and video of every utterance of the source.
        cleaning: named counts.
        dropped: what was left out.
        different: id, words and text of utterances whose words are not their text; a few of them.
    """

    ready: StoreBlock
    published: pd.DataFrame
    cleaning: Counter[str]
    dropped: list[DroppedUtterance]
    different: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Preparation:
    """Reading and preparing of a source's blocks by number; it can travel to a worker process."""

    source: Source
    alignment: Alignment
    pieces: Tokenizer
    modalities: tuple[str, ...]

    def __call__(self, number: int) -> Prepared:
        """Read and prepare block ``number``."""
        block, cleaning = self.source.block(number), Counter[str]()
        published = block.frame[["video_id", "fold"]]
        if not self.modalities and block.words is None:
            block = _with_text(block)
        different = _compare_words(block, cleaning)
        ready = _prepare(block, self.source, self.alignment, self.pieces, self.modalities, cleaning)
        return Prepared(ready, published, cleaning, block.dropped, different)


def _with_text(block: UtteranceBlock) -> UtteranceBlock:
    """Without frames and words, an utterance without text holds nothing: it is dropped."""
    empty = (block.frame["text"].str.strip() == "").to_numpy()
    dropped = [
        *block.dropped,
        *(DroppedUtterance(name, "no text, in a store of texts alone") for name in block.frame["id"][empty]),
    ]
    return replace(block, frame=block.frame[~empty].reset_index(drop=True), dropped=dropped)


def _compare_words(block: UtteranceBlock, cleaning: Counter[str]) -> list[tuple[str, str, str]]:
    """Count the utterances whose timestamped words are their text; a few examples of those that differ."""
    different: list[tuple[str, str, str]] = []
    if block.words is None:
        return different
    for index, (name, text) in enumerate(zip(block.frame["id"], block.frame["text"], strict=True)):
        spoken = block.words[index]["token"].tolist()
        if not text.strip():
            continue
        equal = same_words(spoken, text)
        cleaning[SAME_WORDS if equal else OTHER_WORDS] += 1
        if not equal and len(different) < NUM_EXAMPLES:
            different.append((name, shorten(" ".join(spoken)), shorten(text)))
    return different


def _prepare(
    block: UtteranceBlock,
    source: Source,
    alignment: Alignment,
    pieces: Tokenizer,
    modalities: tuple[str, ...],
    cleaning: Counter[str],
) -> StoreBlock:
    """Clean, tokenise and align one block, and count what was met."""
    cleaning.update(block.counts)
    frame, limits = block.frame, limits_of(source, alignment)
    words = block.words if block.words is not None else _words_of_texts(frame["text"].tolist())
    token_ids, token_words = _tokens(block, words, pieces, cleaning)
    streams = {}
    for modality in modalities:
        stream = _clean(block.streams[modality], modality, cleaning)
        if block.frame_times is not None:
            times = block.frame_times[modality]
            if alignment == "aligned":
                stream = _to_pieces(stream, times, words, token_words, modality, cleaning)
            else:
                rate = source.streams[modality].frame_rate_hz
                stream = _to_rate(stream, times, frame, rate, modality, cleaning)
        if alignment == "aligned":
            _check_aligned(stream, token_ids, frame, modality, source)
        streams[modality] = stream
        cleaning[f"utterances_without_{modality}"] += int((stream.lengths == 0).sum())
        cleaning[f"utterances_longer_than_{modality}_limit"] += int((stream.lengths > limits[modality]).sum())
    cleaning["utterances_without_words"] += int((words.lengths == 0).sum())
    cleaning["utterances_without_text"] += sum(not text.strip() for text in frame["text"])
    cleaning["zero_length_segments"] += int((frame["end_s"] == frame["start_s"]).sum())
    cleaning["utterances_in_no_fold"] += int((frame["fold"] == "none").sum())
    cleaning["utterances_longer_than_text_limit"] += int((token_ids.lengths > limits["text"]).sum())
    return StoreBlock(frame, words, token_ids, token_words, streams)


def _check_aligned(
    stream: Ragged, token_ids: Ragged, frame: pd.DataFrame, modality: str, source: Source
) -> None:
    """Refuse an aligned store without one vector for every word piece."""
    different = np.flatnonzero(stream.lengths != token_ids.lengths)
    if len(different):
        index = int(different[0])
        raise SourceError(
            f"the word pieces of utterance {frame['id'].iloc[index]} do not fit its {modality}",
            where=source.files[0],
            found=f"{token_ids.lengths[index]} word pieces and {stream.lengths[index]} vectors",
            do="Pass --tokenizer with the one that the file was made with",
        )


def limits_of(source: Source, alignment: Alignment) -> dict[str, int]:
    """Return the longest rows a model is served; aligned rows have as many frames as word pieces."""
    limits: dict[str, int] = source.manifest.limits.model_dump()
    return dict.fromkeys(limits, limits["text"]) if alignment == "aligned" else limits


def _clean(stream: Ragged, modality: str, cleaning: Counter[str]) -> Ragged:
    """-inf, inf and NaN become 0 (COVAREP has them, method section 1)."""
    bad = ~np.isfinite(stream.values)
    cleaning[f"{modality}_values_not_finite"] += int(bad.sum())
    return Ragged(np.where(bad, np.float32(0), stream.values), stream.offsets)


def _words_of_texts(texts: list[str]) -> Ragged:
    """The blank-separated words of each text, without times (NaN), for sources that have none."""
    rows = [np.array([(w, np.nan, np.nan) for w in text.split()], dtype=WORD_DTYPE) for text in texts]
    return Ragged.from_rows(rows, np.empty(0, dtype=WORD_DTYPE))


def _tokens(
    block: UtteranceBlock, words: Ragged, pieces: Tokenizer, cleaning: Counter[str]
) -> tuple[Ragged, Ragged]:
    """Word pieces of every text and the timestamped word of each piece.

    Published pieces win where they are of the same vocabulary: aligned frames belong to them.
    """
    ids, owners = [], []
    for index, text in enumerate(block.frame["text"]):
        row_ids, text_words = pieces.encode(text)
        if block.token_ids is not None:
            _check_vocabulary(block.token_ids[index], pieces, block.frame["id"].iloc[index])
            row_ids, text_words = _published(block.token_ids[index], row_ids, text_words, pieces, cleaning)
        to_word = _match([w.lower() for w in text.split()], [w.lower() for w in words[index]["token"]])
        owner = np.where(text_words < 0, -1, np.append(to_word, -1)[text_words]).astype(np.int32)
        cleaning["pieces_without_timed_word"] += int(((text_words >= 0) & (owner < 0)).sum())
        ids.append(row_ids)
        owners.append(owner)
    empty = np.empty(0, dtype=np.int32)
    return Ragged.from_rows(ids, empty), Ragged.from_rows(owners, empty)


def _check_vocabulary(published: NDArray[np.integer], pieces: Tokenizer, name: str) -> None:
    """Refuse pieces that begin as ours do and are beyond our vocabulary.

    They are damaged, or of a vocabulary with the same special pieces: the other rows of the file would then
    be taken for other words.
    """
    size = len(pieces.vocabulary)
    if len(published) and published[0] == pieces.special_id("[CLS]") and published.max() >= size:
        raise SourceError(
            f"a word piece of utterance {name} is not in the vocabulary of {pieces.name}",
            found=int(published.max()),
            expected=f"numbers below {size}",
            do="Pass --tokenizer with the one that the file was made with, or make 'text_bert' again",
        )


def _published(
    published: NDArray[np.integer],
    ids: NDArray[np.int32],
    text_words: NDArray[np.int32],
    pieces: Tokenizer,
    cleaning: Counter[str],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The published pieces of one text, with words where they equal our own pieces."""
    if len(published) == 0 or published[0] != pieces.special_id("[CLS]"):
        cleaning["utterances_with_foreign_pieces"] += 1
        return ids, text_words
    body = len(published) - 1  # the last published piece is [SEP], also where the text was cut
    if len(ids) >= len(published) and np.array_equal(published[:body], ids[:body]):
        return published.astype(np.int32), np.append(text_words[:body], np.int32(-1))
    cleaning["utterances_with_other_pieces"] += 1
    return published.astype(np.int32), np.full(len(published), -1, dtype=np.int32)


def _match(text: list[str], words: list[str]) -> NDArray[np.int32]:
    """Index of the timestamped word for every word of the text, -1 where there is none."""
    if text == words:
        return np.arange(len(text), dtype=np.int32)
    result = np.full(len(text), -1, dtype=np.int32)
    for start, other, size in SequenceMatcher(None, text, words, autojunk=False).get_matching_blocks():
        result[start : start + size] = np.arange(other, other + size)
    return result


def _to_pieces(
    stream: Ragged,
    times: NDArray[np.float64],
    words: Ragged,
    token_words: Ragged,
    modality: str,
    cleaning: Counter[str],
) -> Ragged:
    """Word-level averages, spread to the word pieces; zeros at special tokens and untimed words."""
    rows = []
    for index in range(len(stream)):
        span = slice(stream.offsets[index], stream.offsets[index + 1])
        row_words, owner = words[index], token_words[index]
        intervals = np.stack([row_words["start_s"], row_words["end_s"]], axis=1)
        means, counts = average_frames(stream[index], times[span], intervals)
        cleaning[f"words_without_{modality}"] += int((counts == 0).sum())
        cleaning[f"utterances_without_{modality}"] += int(not counts.any())
        rows.append(np.concatenate([means, np.zeros((1, means.shape[1]), np.float32)])[owner])
    return Ragged.from_rows(rows, stream.values)


def _to_rate(
    stream: Ragged,
    times: NDArray[np.float64],
    frame: pd.DataFrame,
    rate_hz: float | None,
    modality: str,
    cleaning: Counter[str],
) -> Ragged:
    """Average-pool every row to ``rate_hz``; None keeps the frames."""
    if rate_hz is None:
        return stream
    rows = []
    for index, (start, end) in enumerate(frame[["start_s", "end_s"]].to_numpy(np.float64)):
        span = slice(stream.offsets[index], stream.offsets[index + 1])
        row, gaps = resample(stream[index], times[span], start, end, rate_hz)
        cleaning[f"{modality}_gap_bins"] += gaps
        rows.append(row)
    return Ragged.from_rows(rows, stream.values)
