"""Source to store: the one place where cleaning, alignment, tokens and writing meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.alignment import collapse, resample, same_words, shorten
from mer_data.errors import SourceError
from mer_data.files import sha256_file
from mer_data.parallel import in_order
from mer_data.pretrained import TINY
from mer_data.sources import Source, SourceFile, Stream
from mer_data.sources.expected import PublishedCount
from mer_data.store_writer import StoreBlock, writing_store
from mer_data.utterances import WORD_DTYPE, Drop, Ragged, UtteranceBlock
from mer_data.word_pieces import WordPieces

Alignment = Literal["aligned", "unaligned"]
_SAME_WORDS = "utterances_with_the_words_of_their_text"
_OTHER_WORDS = "utterances_with_other_words_than_their_text"
_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class BuildReport:
    """What a build read, wrote, changed and left out.

    Attributes:
        path: the store.
        num_utterances: utterances in the store.
        modalities: of "audio" and "vision" those that the store has.
        files: every file at hand, with its use or the reason why it was not used.
        published: how the source compares with what is published; None where nothing is known of that.
        cleaning: named counts of what was changed or found.
        dropped: what could not be kept, with reasons.
        warnings: what a person should look at, in whole sentences.
        utterance_digest: digest of ids, labels and texts.
    """

    path: Path
    num_utterances: int
    modalities: tuple[str, ...]
    files: tuple[SourceFile, ...]
    published: str | None
    cleaning: dict[str, int]
    dropped: tuple[Drop, ...]
    warnings: tuple[str, ...]
    utterance_digest: str


def build_store(
    source: Source,
    target: str | Path,
    *,
    alignment: Alignment,
    tokenizer: str | None = None,
    without: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> BuildReport:
    """Build the store of ``source`` at ``target``; the file appears only when complete.

    Unaligned stores average each stream to the source's frame rate; aligned stores hold one vector per
    word piece: the average of the frames that intersect its word. Frames of -inf, inf and NaN become 0
    and are counted. Utterances without words or frames are kept and counted: their rows are empty, in an
    aligned store zeros beside the word pieces. A source of texts alone gives a store of texts alone; there,
    an utterance without text is dropped. Blocks pass a few at a time; the store is the same, byte for byte,
    whatever the number of workers.

    Args:
        source: where the utterances come from.
        target: path of the store.
        alignment: "aligned" or "unaligned".
        tokenizer: name of the tokenizer; None takes the source manifest's.
        without: modalities that the store does without, although the source has them.
        progress: called with the number of blocks done and in total.
        workers: processes that read, clean and align; this one writes.

    Raises:
        SourceError: the source cannot give this alignment, a modality has no frame at all, or is damaged.
    """
    target = Path(target)
    streams = {name: stream for name, stream in source.streams.items() if name not in without}
    _check_alignment(source, alignment, streams)
    name = tokenizer or source.manifest.tokenizer
    texts: Iterator[str] = (text for block in source.blocks() for text in block.frame["text"])
    pieces = WordPieces.named(name, texts if name == TINY else ())
    found = _Found(dropped=list(source.dropped))
    frames: list[pd.DataFrame] = []
    widths = {modality: len(stream.columns) for modality, stream in streams.items()}
    with writing_store(target, widths, pieces) as writer:
        job = _Preparation(source, alignment, pieces, tuple(streams))
        for number, prepared in enumerate(in_order(job, source.num_blocks, workers), start=1):
            writer.append(prepared.ready)
            frames.append(prepared.ready.frame[["id", "label", "text"]])
            found.add(prepared)
            if progress is not None:
                progress(number, source.num_blocks)
        if not any(map(len, frames)):
            raise SourceError("the source has no utterances", where=source.files[0])
        utterances = pd.concat(frames, ignore_index=True)
        for modality in streams:
            _check_any_frame(modality, source, found.cleaning, len(utterances), alignment)
        attributes: dict[str, object] = {
            "dataset": source.manifest.dataset,
            "alignment": alignment,
            "tokenizer": pieces.name,
            "vocabulary_digest": pieces.vocabulary_digest,
            "sources": {path.name: sha256_file(path) for path in source.files},
            "columns": {modality: list(stream.columns) for modality, stream in streams.items()},
            "feature_sets": {modality: stream.name for modality, stream in streams.items()},
            "frame_rate_hz": {modality: stream.frame_rate_hz for modality, stream in streams.items()},
            "limits": _limits(source, alignment),
            "cleaning": dict(found.cleaning),
        }
        if source.word_shift:
            attributes["word_shift"] = source.word_shift
        digest = writer.finish(attributes, utterances, found.dropped)
    expected = source.manifest.expected.get(source.form)
    return BuildReport(
        path=target,
        num_utterances=len(utterances),
        modalities=tuple(streams),
        files=source.listing,
        published=None if expected is None else found.published.compare(expected),
        cleaning=dict(found.cleaning),
        dropped=tuple(found.dropped),
        warnings=tuple(found.warnings()),
        utterance_digest=digest,
    )


@dataclass(frozen=True)
class _Prepared:
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
    dropped: list[Drop]
    different: list[tuple[str, str, str]]


@dataclass
class _Found:
    """What was met in all blocks so far."""

    cleaning: Counter[str] = field(default_factory=Counter)
    dropped: list[Drop] = field(default_factory=list)
    different: list[tuple[str, str, str]] = field(default_factory=list)
    published: PublishedCount = field(default_factory=PublishedCount)

    def add(self, prepared: _Prepared) -> None:
        """Count one more block."""
        self.cleaning.update(prepared.cleaning)
        self.dropped.extend(prepared.dropped)
        self.different = [*self.different, *prepared.different][:_NUM_EXAMPLES]
        self.published.add(prepared.published)

    def warnings(self) -> list[str]:
        """Words that are mostly not those of the transcripts: another alignment, or another language."""
        equal, other = self.cleaning[_SAME_WORDS], self.cleaning[_OTHER_WORDS]
        if other <= equal:
            return []
        examples = "; ".join(f"{name}: words {w!r}, transcript {text!r}" for name, w, text in self.different)
        return [
            f"The words of {other:,} of {equal + other:,} utterances are not their transcript. {examples}."
        ]


def _check_alignment(source: Source, alignment: Alignment, streams: Mapping[str, Stream]) -> None:
    """Refuse an alignment that the source cannot give."""
    if source.alignment is not None and source.alignment != alignment:
        raise SourceError(
            f"an {alignment} store cannot be made from this file",
            where=source.files[0],
            do=f"Pass --alignment {source.alignment}, or use .csd files, which have times",
        )
    if alignment == "aligned" and streams and not source.has_word_times:
        unused = "; ".join(one.line for one in source.listing if one.role is None)
        raise SourceError(
            "an aligned store needs the times of the words, to know which frames belong to which",
            where=source.files[0].parent,
            found=unused or "no words .csd file",
            do="Add the words .csd file, choose it with --words PATH, or build with --alignment unaligned",
        )


def _check_any_frame(
    modality: str, source: Source, cleaning: Counter[str], num_utterances: int, alignment: Alignment
) -> None:
    """A modality of which no utterance has one frame would be a store of zeros that looks whole."""
    if cleaning[f"utterances_without_{modality}"] < num_utterances:
        return
    means = "word" if alignment == "aligned" else "utterance"
    raise SourceError(
        f"no {means} has one frame of {modality}",
        where=source.files[0].parent if len(source.files) > 1 else source.files[0],
        found=source.why_no_frames(modality),
        do=f"Correct the files, or build a store that does without: --without {modality}",
    )


@dataclass(frozen=True)
class _Preparation:
    """Reading and preparing of a source's blocks by number; it can travel to a worker process."""

    source: Source
    alignment: Alignment
    pieces: WordPieces
    modalities: tuple[str, ...]

    def __call__(self, number: int) -> _Prepared:
        block, cleaning = self.source.block(number), Counter[str]()
        published = block.frame[["video_id", "fold"]]
        if not self.modalities and block.words is None:
            block = _with_text(block)
        different = _compare_words(block, cleaning)
        ready = _prepare(block, self.source, self.alignment, self.pieces, self.modalities, cleaning)
        return _Prepared(ready, published, cleaning, block.dropped, different)


def _with_text(block: UtteranceBlock) -> UtteranceBlock:
    """Without frames and words, an utterance without text holds nothing: it is dropped."""
    empty = (block.frame["text"].str.strip() == "").to_numpy()
    dropped = [
        *block.dropped,
        *(Drop(name, "no text, in a store of texts alone") for name in block.frame["id"][empty]),
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
        cleaning[_SAME_WORDS if equal else _OTHER_WORDS] += 1
        if not equal and len(different) < _NUM_EXAMPLES:
            different.append((name, shorten(" ".join(spoken)), shorten(text)))
    return different


def _prepare(
    block: UtteranceBlock,
    source: Source,
    alignment: Alignment,
    pieces: WordPieces,
    modalities: tuple[str, ...],
    cleaning: Counter[str],
) -> StoreBlock:
    """Clean, tokenise and align one block, and count what was met."""
    cleaning.update(block.counts)
    frame, limits = block.frame, _limits(source, alignment)
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
    """In an aligned store one vector stands beside every word piece."""
    different = np.flatnonzero(stream.lengths != token_ids.lengths)
    if len(different):
        index = int(different[0])
        raise SourceError(
            f"the word pieces of utterance {frame['id'].iloc[index]} do not fit its {modality}",
            where=source.files[0],
            found=f"{token_ids.lengths[index]} word pieces and {stream.lengths[index]} vectors",
            do="Pass --tokenizer with the one that the file was made with",
        )


def _limits(source: Source, alignment: Alignment) -> dict[str, int]:
    """Longest rows a model is served; aligned frames stand beside word pieces."""
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
    block: UtteranceBlock, words: Ragged, pieces: WordPieces, cleaning: Counter[str]
) -> tuple[Ragged, Ragged]:
    """Word pieces of every text and the timestamped word of each piece.

    Published pieces win where they are of the same vocabulary: aligned frames stand beside them.
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


def _check_vocabulary(published: NDArray[np.integer], pieces: WordPieces, name: str) -> None:
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
    pieces: WordPieces,
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
        means, counts = collapse(stream[index], times[span], intervals)
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
