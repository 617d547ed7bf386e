"""Class priors P(i) and mean features {L_i, A_i, V_i} of training (paper eq. 20-24, footnotes 3 and 4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import StatisticsError
from mer_data.files.hdf5_faults import FileKind
from mer_data.files.hdf5_files import CHECKSUMMED, open_hdf5, writing_hdf5
from mer_data.progress import Progress
from mer_data.splits import SplitManifest
from mer_data.statistics.integrity import StatisticsFile
from mer_data.store.digests import content_digest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task, get_task
from mer_data.utterances import FRAME_MODALITIES, MODALITIES

if TYPE_CHECKING:
    import h5py

    from mer_data.text.encoder import TextEncoder

FORMAT = "mer-data/statistics"
VERSION = 2
COMMAND = "mer-data statistics"


@dataclass(frozen=True)
class ClassStatistics:
    """Priors and means of the training split.

    Attributes:
        task: name of the task.
        counts: (C,) training utterances per class.
        means: for "text", "audio" and "vision" the (C, d) class means, float32; d is 0 where the store has no
            such modality.
        used: for each modality the (C,) utterances that had any step to average.
        origin: digests of the store, the split and the text encoder.
    """

    task: str
    counts: NDArray[np.int64]
    means: dict[str, NDArray[np.float32]]
    used: dict[str, NDArray[np.int64]]
    origin: dict[str, str]

    @property
    def priors(self) -> NDArray[np.float64]:
        """Share (C,) of each class in training."""
        return self.counts / self.counts.sum()

    def save(self, path: str | Path) -> None:
        """Write one HDF5 file with a digest of its content; it appears only when complete."""
        path = Path(path)
        with writing_hdf5(path, libver=CHECKSUMMED) as (file, _):
            file.attrs.update({"format": FORMAT, "version": VERSION, "task": self.task})
            file.attrs["origin"] = json.dumps(self.origin, sort_keys=True)
            file.attrs["classes"] = list(get_task(self.task).classes)
            file.create_dataset("counts", data=self.counts, fletcher32=True, track_times=False)
            file.create_dataset("priors", data=self.priors, fletcher32=True, track_times=False)
            for modality in (name for name in MODALITIES if self.means[name].shape[1] > 0):
                file.create_dataset(
                    f"{modality}/means", data=self.means[modality], fletcher32=True, track_times=False
                )
                file.create_dataset(
                    f"{modality}/used", data=self.used[modality], fletcher32=True, track_times=False
                )
            file.attrs["content_digest"] = content_digest(file)

    @classmethod
    def load(cls, path: str | Path, *, command: str = COMMAND) -> ClassStatistics:
        """Read a file of ``save``; where that fails, the error names the ``command`` that makes it.

        Raises:
            StatisticsError: missing, damaged, changed since it was made, or of another format or version.
        """
        with _unchanged(_file(Path(path), command)) as file:
            counts = file["counts"][()]
            absent = [modality for modality in FRAME_MODALITIES if modality not in file]
            means = {name: file[f"{name}/means"][()] for name in MODALITIES if name not in absent}
            used = {name: file[f"{name}/used"][()] for name in MODALITIES if name not in absent}
            nothing = np.zeros((len(counts), 0), dtype=np.float32)
            return cls(
                task=str(file.attrs["task"]),
                counts=counts,
                means=means | dict.fromkeys(absent, nothing),
                used=used | dict.fromkeys(absent, np.zeros_like(counts)),
                origin=json.loads(file.attrs["origin"]),
            )

    def check(self, expected: dict[str, str], task: Task, path: Path) -> None:
        """Raise unless the file was computed from exactly this store, split, encoder and task."""
        known = _file(path, COMMAND)
        known.check_task(self.task, task.name)
        known.check_origin(self.origin, expected)


def statistics_digest(path: Path) -> str:
    """The digest of the content of a statistics file, whatever its layout.

    Raises:
        StatisticsError: as ``ClassStatistics.load``.
    """
    with _unchanged(_file(path, COMMAND)) as file:
        return str(file.attrs["content_digest"])


def _file(path: Path, command: str) -> StatisticsFile:
    return StatisticsFile(path, "class statistics", command)


@contextmanager
def _unchanged(known: StatisticsFile) -> Iterator[h5py.File]:
    """The open file, after a check that it is of this version and has not changed."""
    known.check_present()
    with (
        open_hdf5(known.path, FileKind(known.name, StatisticsError, known.again)) as file,
        known.damage_named(),
    ):
        known.check_version((file.attrs.get("format"), file.attrs.get("version")), (FORMAT, VERSION))
        known.check_digest("content", content_digest(file), file.attrs.get("content_digest"))
        yield file


def statistics_origin(store: FeatureStore, split: SplitManifest, encoder: TextEncoder) -> dict[str, str]:
    """Digests that tie statistics to what they were computed from."""
    return {
        "store_content": store.content_digest,
        "split": split.digest,
        "text_encoder": encoder.name,
        "text_encoder_weights": encoder.weights_digest(),
    }


def training_rows(store: FeatureStore, split: SplitManifest) -> NDArray[np.int64]:
    """Rows of the training fold in ``store``; an empty fold, which some splits have, is an error."""
    rows = split.indices(store.utterances["id"])["train"]
    if not len(rows):
        raise StatisticsError(
            f"the {split.kind} split has no training utterances", do="Take a split of the training corpus"
        )
    return rows


def class_statistics(
    store: FeatureStore,
    split: SplitManifest,
    task: Task,
    encoder: TextEncoder,
    *,
    progress: Progress | None = None,
) -> ClassStatistics:
    """Compute the statistics of the training fold.

    An utterance's feature is the mean over its steps (as served to a model), a class mean the mean over
    its utterances, so that long utterances do not weigh more. Text features come from the frozen encoder.
    Rows without steps take no part. A class without any row takes the mean of all rows, its prior is 0.

    Args:
        store: features.
        split: which utterances are in training.
        task: how labels become classes.
        encoder: frozen text encoder.
        progress: called with utterances done and in total.

    Raises:
        StatisticsError: the training fold is empty.
    """
    from mer_data.statistics.text_features import utterance_means

    rows = training_rows(store, split)
    classes = task.class_of(store.utterances["label"].to_numpy()[rows])
    means, present = utterance_means(store, rows, encoder, progress=progress)
    class_means, used = {}, {}
    for modality in MODALITIES:
        features, some = means[modality], present[modality]
        overall = features[some].mean(axis=0) if some.any() else np.zeros(features.shape[1])
        chosen = [some & (classes == index) for index in range(task.num_classes)]
        used[modality] = np.array([int(mask.sum()) for mask in chosen])
        class_means[modality] = np.stack(
            [features[mask].mean(axis=0) if mask.any() else overall for mask in chosen]
        ).astype(np.float32)
    counts = np.bincount(classes, minlength=task.num_classes).astype(np.int64)
    return ClassStatistics(task.name, counts, class_means, used, statistics_origin(store, split, encoder))
