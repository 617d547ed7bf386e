"""Export to a pickle in the layout of MMSA's files, so that trainers of the field read any split of ours."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import ExportError
from mer_data.export.rows import fold_rows
from mer_data.files.writing import complete_or_absent
from mer_data.progress import Progress
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS
from mer_data.utterances import Ragged, cut

PadTo = Literal["longest", "limits"]

ANNOTATIONS = ("Negative", "Neutral", "Positive")
_PROTOCOL = 4
_BATCH = 64


@dataclass(frozen=True)
class MmsaExport:
    """What an export wrote.

    Attributes:
        path: the pickle.
        sizes: utterances per fold.
        shapes: shape of "text_bert", "audio", "vision" and, with a text encoder, "text" in training.
        num_cut: rows that were longer than the store's limits, per modality.
        num_empty: rows without frames, per modality.
    """

    path: Path
    sizes: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    num_cut: dict[str, int]
    num_empty: dict[str, int]


def export_mmsa(
    store: FeatureStore,
    split: SplitManifest,
    target: str | Path,
    *,
    text_encoder: str | None = None,
    pad_to: PadTo = "longest",
    at_least_one_frame: bool = False,
    progress: Progress | None = None,
) -> MmsaExport:
    """Write ``store``, divided by ``split``, as one pickle; the file appears only when complete.

    Keys, types and padding are those of MMSA's files. Utterances stand in the order of the store. Rows that
    are too long are cut as they are for our own models: text keeps its first pieces and [SEP], frames the
    first ones (aligned: those of the kept pieces). Both numpy 1 and numpy 2 read the file.

    Args:
        store: features.
        split: which utterance is in which fold.
        target: the pickle.
        text_encoder: name of an encoder for the dense features ``text`` (N, T, d); None leaves them out.
        pad_to: frames are padded to the longest row of all folds, or to the store's limits.
        at_least_one_frame: rows without frames get one of zeros, which recurrent models need.
        progress: called with the number of utterances done and in total.

    Raises:
        SplitError: the split was made from another store.
        ExportError: a fold is empty.
        StatisticsError: the text encoder cannot be loaded, or reads another vocabulary.
    """
    target = Path(target)
    rows = fold_rows(store, split)
    for fold, chosen in rows.items():
        if not len(chosen):
            raise ExportError(f"fold {fold!r} is empty", expected="utterances in train, valid and test")
    encode = None if text_encoder is None else _encoder(text_encoder, store)
    every = np.concatenate(list(rows.values()))
    lengths = {group: store.lengths(group)[every] for group in ("tokens", *store.modalities)}
    limits = {**store.limits, "tokens": store.limits["text"]}
    layout = _Layout(store, _steps(store, lengths, pad_to), at_least_one_frame)
    content, done = {}, 0
    for fold, chosen in rows.items():
        content[fold] = layout.fold(chosen)
        if encode is not None:
            content[fold]["text"] = encode(content[fold]["text_bert"])
        done += len(chosen)
        if progress is not None:
            progress(done, len(every))
    with complete_or_absent(target) as partial, partial.open("wb") as handle:
        _Pickler(handle, protocol=_PROTOCOL).dump(content)
    return MmsaExport(
        path=target,
        sizes={fold: len(chosen) for fold, chosen in rows.items()},
        shapes={
            key: content["train"][key].shape
            for key in ("text", "text_bert", *store.modalities)
            if key in content["train"]
        },
        num_cut={
            "text" if group == "tokens" else group: int((lengths[group] > limits[group]).sum())
            for group in lengths
        },
        num_empty={modality: int((lengths[modality] == 0).sum()) for modality in store.modalities},
    )


def _steps(store: FeatureStore, lengths: dict[str, NDArray[np.int64]], pad_to: PadTo) -> dict[str, int]:
    """Length of the padded rows of each modality; aligned frames stand beside the word pieces."""
    limits = {modality: store.limits[modality] for modality in store.modalities}
    if pad_to == "limits" or store.alignment == "aligned":
        return limits
    return {modality: max(1, min(most, int(lengths[modality].max()))) for modality, most in limits.items()}


class _Layout:
    """Folds of a store as MMSA's dicts."""

    def __init__(self, store: FeatureStore, steps: dict[str, int], at_least_one_frame: bool) -> None:
        self._store = store
        self._steps = steps
        self._aligned = store.alignment == "aligned"
        self._at_least = int(at_least_one_frame)
        self._pad_id = store.tokenizer.special_id("[PAD]")

    def fold(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        """One fold, in the order of the keys of MMSA's files."""
        rows = self._store.read(chosen)
        frame = self._store.utterances.iloc[chosen]
        labels = frame["label"].to_numpy(np.float32)
        classes = TASKS["binary"].class_of(labels)
        part: dict[str, Any] = {
            "raw_text": np.array(frame["text"].tolist(), dtype=np.str_),
            "text_bert": self._text_bert(rows.token_ids),
        }
        lengths = {}
        for modality in rows.streams:
            part[modality], lengths[modality] = _padded(
                rows.streams[modality], self._steps[modality], keep_last=self._aligned
            )
        if not self._aligned:
            for modality in rows.streams:
                part[f"{modality}_lengths"] = np.maximum(lengths[modality], self._at_least).tolist()
        part["id"] = frame["id"].tolist()
        part["annotations"] = [ANNOTATIONS[index] for index in classes]
        part["classification_labels"] = classes.astype(np.float64)
        part["regression_labels"] = labels.astype(np.float64)
        return part

    def _text_bert(self, token_ids: Ragged) -> NDArray[np.float32]:
        """(N, 3, T): word pieces, mask, segment ids (zeros)."""
        steps = self._store.limits["text"]
        padded, lengths = _padded(token_ids, steps, keep_last=True, fill=self._pad_id)
        mask = np.arange(steps) < lengths[:, None]
        return np.stack([padded, mask, np.zeros_like(padded)], axis=1).astype(np.float32)


def _padded(
    rows: Ragged, steps: int, *, keep_last: bool, fill: int = 0
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows as (N, steps, ...), cut or padded at the end, and the lengths (N,) that are left."""
    padded = np.full((len(rows), steps, *rows.values.shape[1:]), fill, dtype=rows.values.dtype)
    for index in range(len(rows)):
        row = cut(rows[index], steps, keep_last=keep_last)
        padded[index, : len(row)] = row
    return padded, np.minimum(rows.lengths, steps)


def _encoder(name: str, store: FeatureStore) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """From ``text_bert`` (N, 3, T) to the encoder's last hidden states (N, T, d), zeros at padding."""
    import torch

    from mer_data.text.encoder import load_text_encoder

    encoder = load_text_encoder(name, store.tokenizer).eval()

    def encode(text_bert: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(text_bert), _BATCH):
            ids, mask = torch.from_numpy(text_bert[start : start + _BATCH, :2]).long().unbind(dim=1)
            with torch.inference_mode():
                parts.append(encoder(ids, mask.bool()).float().numpy())
        return np.concatenate(parts)

    return encode


class _Pickler(pickle._Pickler):
    """Names numpy's maker of arrays by its old module: numpy 1 knows no other, numpy 2 knows both."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a name; all but numpy's own as usual."""
        if getattr(obj, "__module__", None) != "numpy._core.multiarray":
            super().save_global(obj, name)  # type: ignore[misc]
            return
        self.save("numpy.core.multiarray")  # type: ignore[attr-defined]
        self.save(name or obj.__qualname__)  # type: ignore[attr-defined]
        self.write(pickle.STACK_GLOBAL)  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]
