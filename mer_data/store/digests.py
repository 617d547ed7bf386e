"""The two digests of a store: one of the utterances alone, one of everything in the file."""

from __future__ import annotations

import hashlib
import json

import h5py
import numpy as np
import pandas as pd

_STEP_BYTES = 1 << 22


def utterance_digest(utterances: pd.DataFrame) -> str:
    """SHA-256 over id, label (as float32) and text of every utterance, in the order of the ids."""
    digest = hashlib.sha256()
    ordered = utterances.sort_values("id")
    labels = ordered["label"].to_numpy(np.float32).tolist()
    for row in zip(ordered["id"], labels, ordered["text"], strict=True):
        digest.update(json.dumps(row).encode())
    return f"sha256:{digest.hexdigest()}"


def content_digest(file: h5py.File) -> str:
    """SHA-256 over every dataset (name, type, shape, bytes) and attribute but this one."""
    digest = hashlib.sha256()
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in sorted(names):
        dataset = file[name]
        digest.update(f"{name} {dataset.dtype.str} {dataset.shape}".encode())
        step = max(1, _STEP_BYTES // max(1, int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize))
        for start in range(0, dataset.shape[0], step):
            digest.update(np.ascontiguousarray(dataset[start : start + step]).tobytes())
    for name in sorted(set(file.attrs) - {"content_digest"}):
        digest.update(f"{name}={file.attrs[name]}".encode())
    return f"sha256:{digest.hexdigest()}"
