"""Source to store: blocks are prepared, written and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from mer_data.errors import SourceError
from mer_data.files.writing import sha256_file
from mer_data.parallel import in_order
from mer_data.preparation import (
    NUM_EXAMPLES,
    OTHER_WORDS,
    SAME_WORDS,
    Alignment,
    Preparation,
    Prepared,
    limits_of,
)
from mer_data.progress import Progress
from mer_data.sources import Source, SourceFile, Stream
from mer_data.sources.folds import PublishedCount
from mer_data.store.writer import writing_store
from mer_data.text.pretrained import TINY
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import DroppedUtterance


@dataclass(frozen=True)
class BuildReport:
    """The outcome of a build: what it read, wrote, changed and left out.

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
    dropped: tuple[DroppedUtterance, ...]
    warnings: tuple[str, ...]
    utterance_digest: str


def build_store(
    source: Source,
    target: str | Path,
    *,
    alignment: Alignment,
    tokenizer: str | None = None,
    without: Sequence[str] = (),
    progress: Progress | None = None,
    workers: int = 1,
) -> BuildReport:
    """Build the store of ``source`` at ``target``; the file appears only when complete.

    Unaligned stores average each stream to the source's frame rate; aligned stores hold one vector per
    word piece: the average of the frames that intersect its word. Frames of -inf, inf and NaN become 0
    and are counted. Utterances without words or frames are kept and counted: their rows are empty, in an
    aligned store zeros for every word piece. A source of texts alone gives a store of texts alone; there,
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
    pieces = Tokenizer.from_pretrained(name, texts if name == TINY else ())
    found = _Found(dropped=list(source.dropped))
    frames: list[pd.DataFrame] = []
    widths = {modality: len(stream.columns) for modality, stream in streams.items()}
    with writing_store(target, widths, pieces) as writer:
        job = Preparation(source, alignment, pieces, tuple(streams))
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
            "limits": limits_of(source, alignment),
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


@dataclass
class _Found:
    """Counts and drops of all blocks so far."""

    cleaning: Counter[str] = field(default_factory=Counter)
    dropped: list[DroppedUtterance] = field(default_factory=list)
    different: list[tuple[str, str, str]] = field(default_factory=list)
    published: PublishedCount = field(default_factory=PublishedCount)

    def add(self, prepared: Prepared) -> None:
        """Count one more block."""
        self.cleaning.update(prepared.cleaning)
        self.dropped.extend(prepared.dropped)
        self.different = [*self.different, *prepared.different][:NUM_EXAMPLES]
        self.published.add(prepared.published)

    def warnings(self) -> list[str]:
        """Words that are mostly not those of the transcripts: another alignment, or another language."""
        equal, other = self.cleaning[SAME_WORDS], self.cleaning[OTHER_WORDS]
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
