"""Stores and splits in which every utterance is given by the test: text, label, fold and frames."""

import numpy as np
import pandas as pd

from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.store.writer import StoreBlock, writing_store
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import FRAME_MODALITIES, WORD_DTYPE, DroppedUtterance, Ragged

WIDTHS = {"audio": 3, "vision": 2}
LIMITS = {"text": 50, "audio": 20, "vision": 20}


def write_store(
    path, texts, labels=None, *, audio=None, vision=None, folds=None, aligned=False, limits=None, known=None
):
    """A store of ``texts``; ``audio`` and ``vision`` are row lengths, ``known`` the tokenizer's texts.

    Frames are random, the same for the same row and length. Aligned rows are as long as their pieces.
    """
    pieces = Tokenizer.from_pretrained("tiny", texts if known is None else known)
    encoded = [pieces.encode(text) for text in texts]
    lengths = {"audio": audio, "vision": vision}
    for modality in FRAME_MODALITIES:
        if aligned:
            lengths[modality] = [len(ids) for ids, _ in encoded]
        elif lengths[modality] is None:
            lengths[modality] = [1 + row % 4 for row in range(len(texts))]
    frame = pd.DataFrame(
        {
            "id": [f"v{row:03d}$_$1" for row in range(len(texts))],
            "video_id": [f"v{row:03d}" for row in range(len(texts))],
            "segment": 1,
            "start_s": 0.0,
            "end_s": 1.0,
            "label": np.zeros(len(texts), np.float32) if labels is None else np.float32(labels),
            "text": list(texts),
            "fold": "train" if folds is None else folds,
        }
    )
    words = [np.array([(word, np.nan, np.nan) for word in text.split()], WORD_DTYPE) for text in texts]
    block = StoreBlock(
        frame,
        Ragged.from_rows(words, np.empty(0, WORD_DTYPE)),
        Ragged.from_rows([ids for ids, _ in encoded], np.empty(0, np.int32)),
        Ragged.from_rows([owner for _, owner in encoded], np.empty(0, np.int32)),
        {modality: _frames(lengths[modality], WIDTHS[modality]) for modality in FRAME_MODALITIES},
    )
    attributes = {
        "dataset": "sample",
        "alignment": "aligned" if aligned else "unaligned",
        "tokenizer": "tiny",
        "vocabulary_digest": pieces.vocabulary_digest,
        "limits": {**LIMITS, **(limits or {})},
    }
    with writing_store(path, WIDTHS, pieces) as writer:
        writer.append(block)
        writer.finish(attributes, frame, [])
    return FeatureStore.open(path)


def _frames(lengths, width):
    rows = [np.random.default_rng(row).normal(size=(n, width)) for row, n in enumerate(lengths)]
    return Ragged.from_rows(rows, np.empty((0, width), np.float32))


def split_of(store, train, valid=(), test=(), **changes):
    """A split of rows; rows in no fold are dropped."""
    ids = store.utterances["id"].tolist()
    folds = {"train": train, "valid": valid, "test": test}
    used = {row for rows in folds.values() for row in rows}
    fields = {
        "dataset": "sample",
        "task": "any",
        "kind": "cross_dataset",
        "generator": {"name": "by hand"},
        "utterance_digest": store.utterance_digest,
        "splits": {fold: tuple(ids[row] for row in rows) for fold, rows in folds.items()},
        "dropped": tuple(
            DroppedUtterance(name, "not used") for row, name in enumerate(ids) if row not in used
        ),
        "shift": {},
    }
    return SplitManifest(**{**fields, **changes})
