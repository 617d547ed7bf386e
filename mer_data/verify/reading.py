"""Reading a store that may be damaged: layout, every chunk of every dataset, and what is sound of it.

``FeatureStore`` stops at the first fault; here every dataset is read on its own, and a check looks only
at datasets that could be read and fit together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mer_data.progress import Progress
from mer_data.store.digests import content_digest
from mer_data.store.reader import JSON_ATTRIBUTES, STRING_COLUMNS
from mer_data.utterances import FRAME_MODALITIES, UTTERANCE_COLUMNS
from mer_data.verify.findings import DAMAGE, Findings, one_line

GROUPS = ("words", "tokens", *FRAME_MODALITIES)
_NUMBERS = {"segment": "i", "start_s": "f", "end_s": "f", "label": "f"}
STRINGS = (*(f"utterances/{name}" for name in STRING_COLUMNS), "words/token")
# Name of every dataset, with its kind of numbers and its number of dimensions.
LAYOUT: dict[str, tuple[str, int]] = {
    **{f"utterances/{name}": (_NUMBERS[name], 1) for name in UTTERANCE_COLUMNS if name in _NUMBERS},
    **{f"{name}_values": ("u", 1) for name in STRINGS},
    **{f"{name}_offsets": ("i", 1) for name in STRINGS},
    **{f"{group}/offsets": ("i", 1) for group in GROUPS},
    "words/times": ("f", 2),
    "tokens/ids": ("i", 1),
    "tokens/words": ("i", 1),
    "tokens/tokenizer_json": ("u", 1),
    **{f"{modality}/values": ("f", 2) for modality in FRAME_MODALITIES},
    "dropped_json": ("u", 1),
}
STREAMED = tuple(f"{modality}/values" for modality in FRAME_MODALITIES)
_ROW_PER_UTTERANCE = tuple(f"utterances/{name}" for name in _NUMBERS)
_OFFSETS_PER_UTTERANCE = (
    *(f"utterances/{name}_offsets" for name in STRING_COLUMNS),
    *(f"{group}/offsets" for group in GROUPS),
)
ATTRIBUTES = (
    "dataset",
    "alignment",
    "tokenizer",
    "vocabulary_digest",
    *JSON_ATTRIBUTES,
    "utterance_digest",
    "content_digest",
)
# The dataset whose entries say where the rows of another begin.
OFFSETS_OF: dict[str, str] = {
    **{f"{name}_values": f"{name}_offsets" for name in STRINGS},
    "words/times": "words/offsets",
    "words/token_offsets": "words/offsets",
    "tokens/ids": "tokens/offsets",
    "tokens/words": "tokens/offsets",
    **{f"{modality}/values": f"{modality}/offsets" for modality in FRAME_MODALITIES},
}


@dataclass
class StoreContent:
    """The readable content of a store.

    Attributes:
        attributes: the attributes that could be decoded.
        shapes: shape of every dataset.
        arrays: datasets that could be read whole; those that do not fit are taken out by the checks.
            The values of audio and vision are not among them: they never have to fit in memory.
        unprotected: datasets without checksums.
        digest: the content digest, computed again; None where something cannot be read.
        failed: rows (start, stop) that could not be read, by dataset.
        not_finite: rows of audio and vision values with -inf, inf or NaN.
        any_value: whether audio and vision values have one that is not zero.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    unprotected: list[str] = field(default_factory=list)
    digest: str | None = None
    failed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    not_finite: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    any_value: dict[str, bool] = field(default_factory=dict)
    _strings: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def num_utterances(self) -> int:
        """Number of utterances N: the one that most datasets agree on."""
        said = [self.shapes[name][0] for name in _ROW_PER_UTTERANCE if name in self.shapes]
        said += [self.shapes[name][0] - 1 for name in _OFFSETS_PER_UTTERANCE if name in self.shapes]
        return max(0, Counter(said).most_common(1)[0][0]) if said else 0

    def has(self, *names: str) -> bool:
        """Whether all these are sound; the name of a string column means its two datasets."""
        parts = [p for name in names for p in _parts(name)]
        return all(part in self.arrays for part in parts)

    def strings(self, name: str) -> list[str]:
        """A string column; bytes that are not UTF-8 are replaced."""
        if name not in self._strings:
            self._strings[name] = [part.decode("utf-8", errors="replace") for part in self.encoded(name)]
        return self._strings[name]

    def encoded(self, name: str) -> list[bytes]:
        """A string column as bytes."""
        raw = self.arrays[f"{name}_values"].tobytes()
        return [raw[a:b] for a, b in pairwise(self.arrays[f"{name}_offsets"].tolist())]

    def lengths(self, group: str) -> NDArray[np.int64]:
        """Row lengths (N,) of a group whose offsets are sound."""
        lengths: NDArray[np.int64] = np.diff(self.arrays[f"{group}/offsets"])
        return lengths

    def owners(self, group: str) -> NDArray[np.int64]:
        """Utterance of every value of a group whose offsets are sound."""
        return np.repeat(np.arange(self.num_utterances), self.lengths(group))

    def names(self, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Ids of utterances by row, each once; "row 7" where ids cannot be read."""
        ids = self.strings("utterances/id") if self.has("utterances/id") else None
        return [ids[row] if ids else f"row {row}" for row in np.unique(rows).tolist()]

    def utterances_of(self, dataset: str, rows: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """Ids of the utterances that these rows of a dataset belong to; none where that is unknown."""
        found = np.unique(np.asarray(rows, dtype=np.int64))
        while (above := OFFSETS_OF.get(dataset)) is not None:
            if above not in self.arrays:
                return []
            found = np.unique(np.searchsorted(self.arrays[above], found, side="right") - 1)
            dataset = above
        if dataset not in (*_ROW_PER_UTTERANCE, *_OFFSETS_PER_UTTERANCE):
            return []
        return self.names(found[(found >= 0) & (found < self.num_utterances)])


@cache
def _parts(name: str) -> tuple[str, ...]:
    return (f"{name}_values", f"{name}_offsets") if name in STRINGS else (name,)


def read_content(file: h5py.File, findings: Findings, progress: Progress) -> StoreContent:
    """Read every chunk of every dataset, so that each checksum is verified, and keep the small ones."""
    content = StoreContent(attributes=_attributes(file, findings))
    present = _datasets(file, _expected(content.attributes), findings)
    complete = not any(found.check == "layout" and found.level == "error" for found in findings.found)
    total = sum(_num_bytes(dataset) for dataset in present.values())
    done = 0
    for name, dataset in present.items():
        content.shapes[name] = dataset.shape
        if not dataset.fletcher32:
            content.unprotected.append(name)
        kept = [np.empty((0, *dataset.shape[1:]), dataset.dtype)]
        strange = [np.empty(0, np.int64)]
        for start, stop, rows in _chunks(dataset):
            if rows is None:
                content.failed.setdefault(name, []).append((start, stop))
            elif name in STREAMED:
                strange.append(start + np.flatnonzero(~np.isfinite(rows).all(axis=1)))
                content.any_value[name] = content.any_value.get(name, False) or bool(rows.any())
            elif name in LAYOUT:
                kept.append(rows)
            done += (stop - start) * _row_bytes(dataset)
            progress(done, 2 * total)  # half of the work: the digest reads everything once more
        if name in STREAMED:
            content.not_finite[name] = np.concatenate(strange)
        elif name not in content.failed:
            content.arrays[name] = np.concatenate(kept)
    if complete and not content.failed:
        content.digest = content_digest(file)
    return content


def _chunks(dataset: h5py.Dataset) -> Iterator[tuple[int, int, NDArray[Any] | None]]:
    """Start, stop and rows of every chunk; None for rows that cannot be read."""
    size = dataset.shape[0]
    step = dataset.chunks[0] if dataset.chunks else max(1, size)
    for start in range(0, size, step):
        stop = min(start + step, size)
        try:
            rows = dataset[start:stop]
        except DAMAGE:
            rows = None
        yield start, stop, rows


def _row_bytes(dataset: h5py.Dataset) -> int:
    return int(np.prod(dataset.shape[1:], dtype=np.int64)) * int(dataset.dtype.itemsize)


def _num_bytes(dataset: h5py.Dataset) -> int:
    return int(dataset.shape[0]) * _row_bytes(dataset)


def _attributes(file: h5py.File, findings: Findings) -> dict[str, Any]:
    """The attributes, JSON decoded; what is missing or cannot be decoded is an error."""
    attributes = {}
    for name in ATTRIBUTES:
        try:
            value = file.attrs[name]
            attributes[name] = json.loads(value) if name in JSON_ATTRIBUTES else str(value)
        except DAMAGE as error:
            what = "is missing" if name not in file.attrs else f"cannot be read ({one_line(error)})"
            findings.error("attributes", f"attribute {name!r} {what}")
    return attributes


def _expected(attributes: dict[str, Any]) -> list[str]:
    """The datasets that a store has: those of audio and vision where it has columns of them."""
    columns = attributes.get("columns")
    absent = [m for m in FRAME_MODALITIES if m not in columns] if isinstance(columns, dict) else []
    return [name for name in LAYOUT if name.split("/")[0] not in absent]


def _datasets(file: h5py.File, expected: list[str], findings: Findings) -> dict[str, h5py.Dataset]:
    """The datasets that can be opened and are whole: those expected first, strange ones last."""
    names: list[str] = []
    try:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    except DAMAGE as error:
        findings.error("layout", f"the list of datasets cannot be read ({one_line(error)})")
    strange = [name for name in names if name not in expected]
    if strange:
        findings.warning("layout", f"datasets of no known use: {', '.join(map(str, strange))}")
    present = {}
    for name in [*expected, *strange]:
        try:
            wrong = _what_is_wrong(name, file[name]) if name in file else "is missing"
        except DAMAGE as error:
            wrong = f"cannot be opened ({one_line(error)})"
        if wrong is None:
            present[name] = file[name]
        else:
            findings.error("layout", f"dataset {name} {wrong}")
    return present


def _what_is_wrong(name: str, dataset: h5py.Dataset) -> str | None:
    """Describe a wrong kind of numbers or wrong dimensions of a dataset; None for a sound one."""
    shape: tuple[int, ...] = dataset.shape or ()
    kind, dimensions = LAYOUT.get(name, (dataset.dtype.kind, max(1, len(shape))))
    if dataset.dtype.kind != kind or len(shape) != dimensions or (name == "words/times" and shape[1] != 2):
        return f"is {dataset.dtype} of shape {shape}"
    return None
