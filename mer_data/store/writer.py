"""Writing a feature store: blocks are appended one at a time, the file appears when complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data import utterance_rules as rules
from mer_data.errors import SourceError
from mer_data.files.hdf5_files import CHECKSUMMED, writing_hdf5
from mer_data.store.digests import content_digest, utterance_digest
from mer_data.store.reader import FORMAT, JSON_ATTRIBUTES, STRING_COLUMNS, VERSION
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterance_rules import Broken
from mer_data.utterances import FRAME_MODALITIES, UTTERANCE_COLUMNS, DroppedUtterance, Ragged

_NUM_EXAMPLES = 3
_CHUNK_BYTES = 1 << 16
_WRITTEN_BYTES = 1 << 22
"""Blocks are written together up to about this size."""
_BYTES_PER_UTTERANCE = 1 << 12
"""Rough size of an utterance without its frames: text, words, word pieces."""
_FRAME_CHUNK_BYTES = 1 << 14  # reading a random row reads little more than the row (docs/benchmarks.md)


@dataclass(frozen=True)
class StoreBlock:
    """Utterances ready to be written.

    Attributes:
        frame: columns ``UTTERANCE_COLUMNS``.
        words: timestamped words (dtype ``WORD_DTYPE``).
        token_ids: word pieces.
        token_words: word of each piece, -1 for none.
        streams: frames of the modalities that the store has.
    """

    frame: pd.DataFrame
    words: Ragged
    token_ids: Ragged
    token_words: Ragged
    streams: dict[str, Ragged]


class StoreWriter:
    """Appends blocks to an open HDF5 file; made by ``writing_store``."""

    def __init__(
        self, file: h5py.File, widths: dict[str, int], tokenizer: Tokenizer, check: Callable[[], None]
    ) -> None:
        """Create the empty datasets; ``check`` raises when a write has failed."""
        self._file = file
        self._tokenizer = tokenizer
        self._check = check
        self._modalities = tuple(widths)
        self._pending: list[StoreBlock] = []
        self._pending_bytes = 0
        self._seen: set[str] = set()
        for name in UTTERANCE_COLUMNS:
            if name in STRING_COLUMNS:
                _create_strings(file, f"utterances/{name}")
            else:
                _create(file, f"utterances/{name}", _COLUMN_TYPES[name])
        _create_strings(file, "words/token")
        _create(file, "words/times", "f8", 2)
        _create(file, "tokens/ids", "i4")
        _create(file, "tokens/words", "i4")
        for modality, width in widths.items():
            _create(file, f"{modality}/values", "f4", width, chunk_bytes=_FRAME_CHUNK_BYTES)
        for group in ("words", "tokens", *widths):
            _create(file, f"{group}/offsets", "i8")
            _append(file[f"{group}/offsets"], np.zeros(1, dtype=np.int64))
        encoded = np.frombuffer(tokenizer.to_json().encode(), dtype=np.uint8)
        file.create_dataset(
            "tokens/tokenizer_json", data=encoded, compression="gzip", fletcher32=True, track_times=False
        )

    def append(self, block: StoreBlock) -> None:
        """Add the utterances of ``block``.

        Raises:
            SourceError: an id is there already, or an utterance does not keep to the rules of a store.
            StoreError: the file system took no more.
        """
        for name in block.frame["id"]:
            if name in self._seen:
                raise SourceError(f"utterance {name} stands twice in the source", do="Remove one of the two")
            self._seen.add(name)
        # A write to each dataset costs the same for one utterance as for a thousand: small blocks wait.
        self._pending.append(block)
        self._pending_bytes += _BYTES_PER_UTTERANCE * len(block.frame)
        self._pending_bytes += sum(block.streams[name].values.nbytes for name in self._modalities)
        if self._pending_bytes >= _WRITTEN_BYTES:
            self._write()

    def _write(self) -> None:
        """Write the blocks that wait, as one."""
        if not self._pending:
            return
        block = _joined(self._pending, self._modalities)
        self._pending, self._pending_bytes = [], 0
        self._check_utterances(block)
        for name in UTTERANCE_COLUMNS:
            if name in STRING_COLUMNS:
                _append_strings(self._file, f"utterances/{name}", block.frame[name].tolist())
            else:
                _append(self._file[f"utterances/{name}"], block.frame[name].to_numpy(_COLUMN_TYPES[name]))
        _append_strings(self._file, "words/token", block.words.values["token"].tolist())
        times = np.stack([block.words.values["start_s"], block.words.values["end_s"]], axis=1)
        _append(self._file["words/times"], times)
        _append(self._file["tokens/ids"], block.token_ids.values)
        _append(self._file["tokens/words"], block.token_words.values)
        _append_offsets(self._file["words/offsets"], block.words)
        _append_offsets(self._file["tokens/offsets"], block.token_ids)
        for modality in self._modalities:
            _append(self._file[f"{modality}/values"], block.streams[modality].values)
            _append_offsets(self._file[f"{modality}/offsets"], block.streams[modality])
        self._check()

    def _check_utterances(self, block: StoreBlock) -> None:
        """Raise where ``verify`` would find an error in what is written."""
        frame, names = block.frame, block.frame["id"].tolist()
        texts = [frame[column].tolist() for column in STRING_COLUMNS]
        words = [block.words[row]["token"].tolist() for row in range(len(names))]
        for name, spoken, *columns in zip(names, words, *texts, strict=True):
            if not _is_utf8("".join([*columns, *spoken])):
                raise SourceError(
                    f"id, text or words of utterance {name!r} cannot be written as UTF-8",
                    do="Mend the source",
                )
        for broken in _broken(block, self._tokenizer):
            rows = dict.fromkeys(broken.rows.tolist())
            raise SourceError(
                f"{len(rows)} utterance{'s' * (len(rows) != 1)} that no store takes: {broken.message}",
                found=", ".join(repr(names[row]) for row in list(rows)[:_NUM_EXAMPLES]),
                do="Mend the source",
            )

    def finish(
        self, attributes: dict[str, Any], utterances: pd.DataFrame, dropped: Sequence[DroppedUtterance]
    ) -> str:
        """Write the attributes and the two digests; return the utterance digest."""
        self._write()
        version = (
            1 if self._modalities == FRAME_MODALITIES else VERSION
        )  # a whole store is of the first version
        self._file.attrs.update({"format": FORMAT, "version": version})
        for name, value in attributes.items():
            self._file.attrs[name] = json.dumps(value, sort_keys=True) if name in JSON_ATTRIBUTES else value
        listed = json.dumps([vars(drop) for drop in dropped]).encode()
        self._file.create_dataset(
            "dropped_json", data=np.frombuffer(listed, dtype=np.uint8), track_times=False
        )
        digest = utterance_digest(utterances)
        self._file.attrs["utterance_digest"] = digest
        self._file.attrs["content_digest"] = content_digest(self._file)
        return digest


@contextmanager
def writing_store(path: str | Path, widths: dict[str, int], tokenizer: Tokenizer) -> Iterator[StoreWriter]:
    """Open a writer on a temporary file in the folder of ``path``, renamed to ``path`` when all went well.

    Raises:
        StoreError: the file system took no more.
    """
    path = Path(path)
    with writing_hdf5(path, libver=CHECKSUMMED) as (file, careful):
        yield StoreWriter(file, widths, tokenizer, careful.check)


def _joined(blocks: Sequence[StoreBlock], modalities: Sequence[str]) -> StoreBlock:
    """Several blocks as one."""
    return StoreBlock(
        frame=pd.concat([block.frame for block in blocks], ignore_index=True),
        words=Ragged.joined([block.words for block in blocks]),
        token_ids=Ragged.joined([block.token_ids for block in blocks]),
        token_words=Ragged.joined([block.token_words for block in blocks]),
        streams={name: Ragged.joined([block.streams[name] for block in blocks]) for name in modalities},
    )


def _broken(block: StoreBlock, pieces: Tokenizer) -> Iterator[Broken]:
    """The rules that a block does not keep to."""
    frame, words, tokens = block.frame, block.words, block.token_ids
    ids, videos = frame["id"].tolist(), frame["video_id"].tolist()
    yield from rules.broken_ids(ids)
    yield from rules.broken_agreement(ids, videos, frame["segment"].tolist())
    yield from rules.broken_labels(frame["label"].to_numpy(np.float64))
    yield from rules.broken_folds(frame["fold"].tolist())
    yield from rules.broken_segments(frame[["start_s", "end_s"]].to_numpy(np.float64))
    times = np.stack([words.values["start_s"], words.values["end_s"]], axis=1)
    yield from rules.broken_words(times, words.owners)
    special = (pieces.special_id("[CLS]"), pieces.special_id("[SEP]"))
    yield from rules.broken_pieces(tokens.values, tokens.offsets, len(pieces.vocabulary), *special)
    yield from rules.broken_piece_words(block.token_words.values, tokens.owners, words.lengths)
    for modality, stream in block.streams.items():
        finite = np.isfinite(stream.values).all(axis=1)
        if not finite.all():
            rows = stream.owners[~finite]
            yield Broken("finite", f"{modality} frames with -inf, inf or NaN", rows)


def _is_utf8(text: str) -> bool:
    """Whether a text has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_COLUMN_TYPES = {"segment": "i8", "start_s": "f8", "end_s": "f8", "label": "f4"}


def _create(
    file: h5py.File, name: str, dtype: str, width: int | None = None, *, chunk_bytes: int = _CHUNK_BYTES
) -> None:
    """An empty, growing dataset whose chunks carry checksums."""
    tail = () if width is None else (width,)
    row_bytes = max(1, np.dtype(dtype).itemsize * (width or 1))
    file.create_dataset(
        name,
        shape=(0, *tail),
        maxshape=(None, *tail),
        chunks=(max(1, chunk_bytes // row_bytes), *(max(1, n) for n in tail)),
        dtype=dtype,
        fletcher32=True,
        track_times=False,
    )


def _create_strings(file: h5py.File, name: str) -> None:
    """Strings as UTF-8 bytes and offsets: checksums do not reach HDF5's own variable-length strings."""
    _create(file, f"{name}_values", "u1")
    _create(file, f"{name}_offsets", "i8")
    _append(file[f"{name}_offsets"], np.zeros(1, dtype=np.int64))


def _append(dataset: h5py.Dataset, values: NDArray[Any]) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _append_offsets(dataset: h5py.Dataset, ragged: Ragged) -> None:
    _append(dataset, ragged.offsets[1:] + dataset[-1])


def _append_strings(file: h5py.File, name: str, strings: list[str]) -> None:
    encoded = [text.encode() for text in strings]
    _append(file[f"{name}_values"], np.frombuffer(b"".join(encoded), dtype=np.uint8))
    offsets = file[f"{name}_offsets"]
    _append(offsets, np.cumsum([len(text) for text in encoded], dtype=np.int64) + offsets[-1])
