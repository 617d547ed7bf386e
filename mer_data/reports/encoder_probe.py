"""The text probe on sentence embeddings of a frozen encoder. Imports torch when the embeddings are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_data.progress import Progress
from mer_data.reports.formatting import ShiftMeasure, mean_and_deviation
from mer_data.splits import SplitManifest
from mer_data.splits.shift.divergence import random_side
from mer_data.splits.shift.measure import PROBE_SEEDS
from mer_data.splits.shift.probes import Probe, embedding_probe
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task
from mer_data.utterances import FOLDS, cut

_BATCH = 256


class EncoderProbe:
    """Logistic regression on the embeddings of one store, for any split and task."""

    def __init__(self, store: FeatureStore, encoder_name: str, progress: Progress | None = None) -> None:
        """Encode every text of the store once.

        Raises:
            StatisticsError: no such encoder, or one of another vocabulary.
        """
        self.encoder_name = encoder_name
        self._embeddings = sentence_embeddings(store, encoder_name, progress)
        self._ids = store.utterances["id"].tolist()
        self._labels = store.utterances["label"].to_numpy(np.float64)
        self._folds = store.utterances["fold"].to_numpy(dtype=str)
        self._probes: dict[str, Probe] = {}
        self._known: dict[tuple[str, bytes, bytes], float | None] = {}

    def test_accuracy(self, manifest: SplitManifest, task: Task) -> float | None:
        """Accuracy of the probe from train to test of a split."""
        rows = manifest.indices(self._ids)
        return self._accuracy(task, rows["train"], rows["test"])

    def standard_accuracy(self, task: Task) -> float | None:
        """The same on the standard folds; None where the store has none."""
        if not set(FOLDS) <= set(self._folds):
            return None
        return self._accuracy(task, *(np.flatnonzero(self._folds == fold) for fold in ("train", "test")))

    def random_accuracy(self, manifest: SplitManifest, task: Task) -> tuple[float | None, float | None]:
        """Mean and standard deviation over random splits of the same utterances and sizes."""
        rows = manifest.indices(self._ids)
        pool = np.sort(np.concatenate(list(rows.values())))
        num_train, num_test = len(rows["train"]), len(rows["test"])
        values = []
        for seed in PROBE_SEEDS:
            both = pool[random_side(len(pool), num_train + num_test, seed)]
            test = random_side(len(both), num_test, seed)
            values.append(self._accuracy(task, both[~test], both[test]))
        return mean_and_deviation(values)

    def scores(self, manifest: SplitManifest, task: Task) -> ShiftMeasure:
        """The probe on a split and on what it is compared with."""
        return ShiftMeasure(
            self.test_accuracy(manifest, task),
            self.standard_accuracy(task),
            *self.random_accuracy(manifest, task),
        )

    def _accuracy(self, task: Task, train: NDArray[np.int64], test: NDArray[np.int64]) -> float | None:
        """From rows to rows; many splits share their baselines, so each is fitted once."""
        key = task.name, train.tobytes(), test.tobytes()
        if key not in self._known:
            if task.name not in self._probes:
                self._probes[task.name] = embedding_probe(self._embeddings, task.class_of(self._labels), task)
            value = self._probes[task.name](train, test)
            self._known[key] = None if np.isnan(value) else value
        return self._known[key]


def sentence_embeddings(
    store: FeatureStore, encoder_name: str, progress: Progress | None = None
) -> NDArray[np.float64]:
    """The mean of the last hidden states over the word pieces of every text (N, d), special tokens included.

    Texts are cut as a model is served them (``FeatureStore.limits``).

    Raises:
        StatisticsError: no such encoder, or one of another vocabulary.
    """
    import torch

    from mer_data.text.encoder import load_text_encoder

    encoder = load_text_encoder(encoder_name, store.tokenizer).eval()
    means = np.zeros((len(store), encoder.width))
    lengths = np.minimum(store.lengths("tokens"), store.limits["text"])
    order = np.argsort(lengths, kind="stable")  # texts of one length are padded least
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        pieces = store.read_tokens(rows)
        ids = np.zeros((len(rows), max(1, int(lengths[rows].max()))), dtype=np.int64)
        for place in range(len(rows)):
            row = cut(pieces[place], store.limits["text"], keep_last=True)
            ids[place, : len(row)] = row
        mask = torch.from_numpy(np.arange(ids.shape[1]) < lengths[rows][:, None])
        with torch.inference_mode():
            states = encoder(torch.from_numpy(ids), mask).double()
        means[rows] = (states.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)).numpy()
        if progress is not None:
            progress(start + len(rows), len(order))
    return means
