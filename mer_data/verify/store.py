"""Checks on a feature store as a file: format, checksums, offsets, digests; ``rows`` looks at the content."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_data.errors import StoreError
from mer_data.files.hdf5_files import open_hdf5
from mer_data.progress import Progress, ignore_progress
from mer_data.store.digests import utterance_digest
from mer_data.store.reader import FORMAT, STORE_FILE, VERSION
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import FRAME_MODALITIES, UTTERANCE_COLUMNS
from mer_data.verify.findings import DAMAGE, Finding, Findings, one_line
from mer_data.verify.mixed import check_mixed_sentences
from mer_data.verify.reading import OFFSETS_OF, STRINGS, StoreContent, read_content
from mer_data.verify.rows import (
    check_any_frames,
    check_frames,
    check_tokens,
    check_utterances,
    check_words,
    check_words_of_texts,
)


def verify_store(path: str | Path, progress: Progress | None = None) -> list[Finding]:
    """Every check on one store. Frames are read chunk by chunk, so that a store of any size can be checked.

    Args:
        path: the HDF5 file.
        progress: called with the amount of work done and in total.
    """
    path = Path(path)
    findings = Findings(path)
    report = progress or ignore_progress
    try:
        with open_hdf5(path, STORE_FILE) as file:
            if not _check_format(file, findings):
                return findings.found
            content = read_content(file, findings, report)
    except DAMAGE as error:
        findings.error("readable", one_line(error))
        return findings.found
    _check_offsets(content, findings)
    _check_checksums(content, findings)
    _check_encoding(content, findings)
    _check_attributes(content, findings)
    _check_dropped(content, findings)
    check_utterances(content, findings)
    check_words(content, findings)
    check_tokens(content, _tokenizer(content, findings), findings)
    check_words_of_texts(content, findings)
    check_frames(content, findings)
    check_any_frames(content, findings)
    check_mixed_sentences(content, findings)
    _check_digests(content, findings)
    report(1, 1)
    return findings.found


def _check_format(file: h5py.File, findings: Findings) -> bool:
    """Whether the file is a store of a version that we know."""
    found = file.attrs.get("format")
    if found != FORMAT:
        findings.error("format", f"not a feature store: found format {found!r}, expected {FORMAT!r}")
        return False
    version = file.attrs.get("version")
    if not isinstance(version, (int, np.integer)) or not 1 <= version <= VERSION:
        findings.error("version", f"unknown version: found {version!r}, expected 1 to {VERSION}")
        return False
    return True


def _check_offsets(content: StoreContent, findings: Findings) -> None:
    """Offsets begin at 0, never fall, end at the number of values and are as many as they should be.

    Whatever does not fit leaves ``content``, so that no later check trips over it.
    """
    num = content.num_utterances
    for name in UTTERANCE_COLUMNS:
        column = f"utterances/{name}"
        if column in content.arrays and len(content.arrays[column]) != num:
            findings.error("length", f"{column} has {len(content.arrays[column])} rows, others have {num}")
            del content.arrays[column]
    ids_first = sorted(OFFSETS_OF.items(), key=lambda pair: (pair[1] != "utterances/id_offsets", pair[1]))
    for below, name in ids_first:
        offsets = content.arrays.get(name)
        if offsets is None or below not in content.shapes:
            continue
        num_values = content.shapes[below][0] - (below == "words/token_offsets")
        wanted = num
        if name == "words/token_offsets":
            wanted = content.shapes.get("words/times", (len(offsets) - 1,))[0]
        wrong = _what_is_wrong(offsets, wanted, num_values)
        if wrong is not None:
            message, rows = wrong
            del content.arrays[name]
            ids = [] if name == "words/token_offsets" else content.names(rows[rows < num])
            findings.error("offsets", f"{name} for {below}: {message}", ids)
    for below, name in OFFSETS_OF.items():
        if name not in content.arrays:
            content.arrays.pop(below, None)


def _what_is_wrong(
    offsets: NDArray[np.integer], num_rows: int, num_values: int
) -> tuple[str, NDArray[np.int64]] | None:
    """Describe wrong offsets, and return the rows concerned; None for sound ones."""
    nowhere = np.empty(0, np.int64)
    if len(offsets) != num_rows + 1:
        return f"{len(offsets)} entries, expected {num_rows + 1}", nowhere
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if len(falls):
        return "they fall", falls
    if offsets[0] != 0:
        return f"they begin at {offsets[0]}, expected 0", nowhere
    if offsets[-1] != num_values:
        return f"they end at {offsets[-1]}, expected the {num_values} values", nowhere
    return None


def _check_checksums(content: StoreContent, findings: Findings) -> None:
    """Name the datasets, rows and utterances whose chunks cannot be read."""
    for name, spans in content.failed.items():
        rows = np.concatenate([np.arange(start, stop) for start, stop in spans])
        listed = ", ".join(f"{start} to {stop - 1}" for start, stop in spans[:3])
        more = f" and {len(spans) - 3} more parts" if len(spans) > 3 else ""
        findings.error(
            "checksum", f"{name}: rows {listed}{more} cannot be read", content.utterances_of(name, rows)
        )


def _check_encoding(content: StoreContent, findings: Findings) -> None:
    """Every string is UTF-8."""
    for name in filter(content.has, STRINGS):
        pairs = zip(content.encoded(name), content.strings(name), strict=True)
        rows = [row for row, (raw, text) in enumerate(pairs) if raw != text.encode()]
        if rows:
            ids = content.utterances_of(f"{name}_offsets", rows)
            findings.error("encoding", f"{name}: strings that are not UTF-8", ids)


def _check_attributes(content: StoreContent, findings: Findings) -> None:
    """The alignment is known, and columns are as many as the values have."""
    alignment = content.attributes.get("alignment")
    if alignment not in (None, "aligned", "unaligned"):
        findings.error("attributes", f"unknown alignment {alignment!r}, expected aligned or unaligned")
    limits = content.attributes.get("limits")
    if limits is not None and not _are_limits(limits):
        findings.error("attributes", f"limits are not three positive numbers: {limits}")
    for modality in FRAME_MODALITIES:
        columns = (content.attributes.get("columns") or {}).get(modality)
        width = content.shapes.get(f"{modality}/values", (0, None))[1]
        if isinstance(columns, list) and width is not None and len(columns) != width:
            findings.error("columns", f"{modality}: {len(columns)} column names for {width} columns")


def _are_limits(limits: object) -> bool:
    if not isinstance(limits, dict) or set(limits) != {"text", *FRAME_MODALITIES}:
        return False
    return all(isinstance(limit, int) and limit > 0 for limit in limits.values())


def _check_dropped(content: StoreContent, findings: Findings) -> None:
    """The list of what was dropped can be read, and none of it is in the store."""
    if not content.has("dropped_json"):
        return
    try:
        dropped = [
            (str(d["id"]), str(d["reason"])) for d in json.loads(content.arrays["dropped_json"].tobytes())
        ]
    except DAMAGE as error:
        findings.error("dropped", f"dropped_json cannot be read ({one_line(error)})")
        return
    if content.has("utterances/id"):
        present = set(content.strings("utterances/id"))
        back = [name for name, _ in dropped if name in present]
        if back:
            findings.error("dropped", "listed as dropped and yet in the store", back)


def _tokenizer(content: StoreContent, findings: Findings) -> Tokenizer | None:
    """The tokenizer of the store, if it can be made."""
    if not content.has("tokens/tokenizer_json"):
        return None
    try:
        pieces = _make_tokenizer(content)
    except StoreError as error:
        findings.error("tokenizer", str(error).rstrip("."))
        return None
    stored = content.attributes.get("vocabulary_digest")
    if stored is not None and stored != pieces.vocabulary_digest:
        findings.error(
            "vocabulary-digest", f"stored {stored}, recomputed from the tokenizer {pieces.vocabulary_digest}"
        )
    return pieces


def _make_tokenizer(content: StoreContent) -> Tokenizer:
    try:
        text = content.arrays["tokens/tokenizer_json"].tobytes().decode("utf-8")
        return Tokenizer.from_json(str(content.attributes.get("tokenizer")), text)
    except ValueError as error:
        raise StoreError(f"tokens/tokenizer_json makes no tokenizer ({one_line(error)})") from error


def _check_digests(content: StoreContent, findings: Findings) -> None:
    """The two digests of the store are those of its content."""
    columns = ("id", "label", "text")
    stored = content.attributes.get("utterance_digest")
    if stored is not None and content.has(*(f"utterances/{name}" for name in columns)):
        frame = pd.DataFrame(
            {
                "id": content.strings("utterances/id"),
                "label": content.arrays["utterances/label"],
                "text": content.strings("utterances/text"),
            }
        )
        found = utterance_digest(frame)
        if found != stored:
            findings.error("utterance-digest", f"stored {stored}, recomputed {found}")
    stored = content.attributes.get("content_digest")
    if stored is not None and content.digest not in (None, stored):
        bare = ", ".join(content.unprotected) or "none"
        findings.error(
            "content-digest",
            f"stored {stored}, recomputed {content.digest}: all checksums hold, so the store was edited, or"
            f" an attribute or a dataset without checksums ({bare}) is damaged",
        )
