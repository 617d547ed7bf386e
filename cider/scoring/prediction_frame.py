"""Predictions as files: one Parquet table per condition and fold, used again only for what they belong to.

A table carries digests of everything that decided it: checkpoint, store, split, vocabulary, precision and the
scheme of the masks; a table of another corpus also those of the store and split that were predicted, and lies
in a folder of its own. A table appears only when complete, so an interrupted sweep goes on where it stopped,
and reports are computed from the tables alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cider.scoring.conditions import Condition, SweepPlan
from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import complete_or_absent
from mer_data.tasks import Task

FORMAT = "cider/predictions"
VERSION = 1
SCORED_FOLDS = ("valid", "test")
TARGET = "target"
"""Key of an identity that names what was tested on in place of the run's own test fold."""
_METADATA = b"cider"
_DIGEST = "digest"

FACTUAL = "factual"
COUNTERFACTUAL = "counterfactual"
TRAINING_MEANS = "training"
EVALUATED_MEANS = "evaluated_split"
NO_MEANS = "none"
View = tuple[str, str]
"""Which text (factual or counterfactual), and whose class means the causal head takes (none without one)."""

Identity = dict[str, str]
"""Digests and settings by name."""


@dataclass(frozen=True)
class Prediction:
    """One condition of one fold; N utterances, C classes.

    Attributes:
        ids: utterance ids (N,).
        videos: the video of each (N,).
        labels: real sentiment (N,).
        views: class probabilities (N, C) per view.
    """

    ids: list[str]
    videos: list[str]
    labels: NDArray[np.float64]
    views: Mapping[View, NDArray[np.float64]]


@dataclass(frozen=True)
class PredictionFolder:
    """The prediction tables of a run.

    Attributes:
        path: its folder; tables of validation are there, whatever is tested on.
        task: what the columns mean.
        target: name of the folder below it that has the tables of test; None: none, the run's own test fold.
        sealed: whether tables without a digest are damaged; those of older runs have none.
    """

    path: Path
    task: Task
    target: str | None = None
    sealed: bool = False

    def table_path(self, condition: Condition, fold: str) -> Path:
        """Where the table of a condition and fold is."""
        folder = self.path / self.target if self.target and fold == "test" else self.path
        return folder / f"{condition.name}.{fold}.parquet"

    def write(self, condition: Condition, fold: str, prediction: Prediction, identity: Identity) -> None:
        """Write one table, a row per view and utterance; it appears only when complete."""
        views = list(prediction.views)
        repeat, num = len(views), len(prediction.ids)
        scores = np.concatenate([prediction.views[view] for view in views])
        table = pa.table(
            {
                "id": prediction.ids * repeat,
                "video_id": prediction.videos * repeat,
                "split": [fold] * (repeat * num),
                "pattern": [condition.pattern] * (repeat * num),
                "rate": [condition.rate] * (repeat * num),
                "kept": [condition.kept] * (repeat * num),
                "mask_seed": [condition.mask_seed] * (repeat * num),
                "view": [text for text, _ in views for _ in range(num)],
                "means": [means for _, means in views for _ in range(num)],
                **{f"p_{name}": scores[:, number] for number, name in enumerate(self.task.classes)},
                "label": np.tile(prediction.labels, repeat),
            }
        )
        about = {"format": FORMAT, "version": str(VERSION), "condition": condition.name, "fold": fold}
        belongs = {**about, **identity}
        belongs[_DIGEST] = _table_digest(table, belongs)
        table = table.replace_schema_metadata({_METADATA: json.dumps(belongs, sort_keys=True)})
        with complete_or_absent(self.table_path(condition, fold)) as partial:
            pq.write_table(table, partial)

    def read(self, condition: Condition, fold: str) -> tuple[Prediction, Identity]:
        """A table, and what it belongs to.

        Raises:
            RunError: the table is missing.
            DamagedRunError: it is damaged or was changed, or no table of ``write`` of a known version.
        """
        path = self.table_path(condition, fold)
        table = self._open(condition, fold)
        identity = self._belongs(table, condition, fold)
        try:
            view_names = list(zip(*(table[name].to_pylist() for name in ("view", "means")), strict=True))
            columns = [table[f"p_{name}"].to_numpy() for name in self.task.classes]
            scores = np.stack(columns, axis=1).astype(np.float64)
            labels = table["label"].to_numpy().astype(np.float64)
            ids, videos = (table[name].to_pylist() for name in ("id", "video_id"))
        except (KeyError, ValueError, TypeError) as error:
            raise _damaged(path, f"a column is missing or of another type, {error}") from error
        views = list(dict.fromkeys(view_names))
        num = len(ids) // max(1, len(views))
        if view_names != [view for view in views for _ in range(num)] or ids != ids[:num] * len(views):
            raise _damaged(path, "rows out of order")
        parts = {view: scores[k * num : (k + 1) * num] for k, view in enumerate(views)}
        return Prediction(ids[:num], videos[:num], labels[:num], parts), identity

    def _open(self, condition: Condition, fold: str) -> pa.Table:
        path = self.table_path(condition, fold)
        if not path.is_file():
            raise RunError(
                f"no predictions of {fold} for {_told(condition)}",
                where=path.parent,
                do="Make them with `cider evaluate RUN`, without --report-only",
            )
        return _read(path)

    def _belongs(self, table: pa.Table, condition: Condition, fold: str) -> Identity:
        path = self.table_path(condition, fold)
        about, identity = _checked(table, path, sealed=self.sealed)
        if about != [FORMAT, str(VERSION), condition.name, fold]:
            raise _damaged(path, f"it says {', '.join(map(str, about))}")
        return identity


def check_table(path: Path, *, sealed: bool) -> None:
    """Raise unless a table is whole and as it was predicted.

    Args:
        path: of the table.
        sealed: whether one without a digest is damaged.

    Raises:
        DamagedRunError: it is not.
    """
    _checked(_read(path), path, sealed=sealed)


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _checked(table: pa.Table, path: Path, *, sealed: bool) -> tuple[list[str], Identity]:
    """Format, version, condition and fold of a table, and what it belongs to."""
    try:
        identity = json.loads((table.schema.metadata or {})[_METADATA])
        digest = identity.pop(_DIGEST, None)
        expected = _table_digest(table, identity)
        about = [identity.pop(name) for name in ("format", "version", "condition", "fold")]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, "it does not say what it belongs to") from error
    if digest != expected and (digest is not None or sealed):
        raise _damaged(path, "its content is not what was predicted")
    return about, {str(name): str(value) for name, value in identity.items()}


@dataclass(frozen=True)
class FoldPredictions:
    """All conditions of a sweep for one fold; K conditions, N utterances, C classes.

    Attributes:
        ids: utterance ids (N,).
        videos: the video of each (N,).
        labels: real sentiment (N,).
        views: class probabilities (K, N, C) per view.
    """

    ids: list[str]
    videos: list[str]
    labels: NDArray[np.float64]
    views: dict[View, NDArray[np.float64]]

    @cached_property
    def own_means(self) -> str:
        """Means of the strict protocol: those of training, or "none" without a causal head."""
        return next(means for text, means in self.views if means != EVALUATED_MEANS)

    def scores(self, means: str) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Factual and counterfactual (or None) probabilities (K, N, C) with the given class means."""
        return self.views[FACTUAL, means], self.views.get((COUNTERFACTUAL, means))


@dataclass(frozen=True)
class SweepPredictions:
    """What scores are computed from.

    Attributes:
        plan: the points of the sweep.
        task: what the columns mean.
        valid: predictions of the validation fold.
        test: predictions of the test fold, also with its own class means where there is a causal head.
        identity: what all tables belong to; those of test also to a target, where there is one.
    """

    plan: SweepPlan
    task: Task
    valid: FoldPredictions
    test: FoldPredictions
    identity: Identity

    @property
    def target(self) -> str | None:
        """Name of what was tested on in place of the run's own test fold."""
        return self.identity.get(TARGET)


def collect(
    folder: PredictionFolder,
    plan: SweepPlan,
    expected: Mapping[str, Identity],
    *,
    do: str = "Evaluate the run again",
) -> SweepPredictions:
    """Read the tables of a sweep.

    Args:
        folder: of the run.
        plan: the sweep.
        expected: what the tables of each fold must belong to, as far as it is known.
        do: advice for tables of something else.

    Raises:
        RunError: a table is missing, damaged, or belongs to something else than ``expected`` or the others.
    """
    folds = {}
    identity: Identity = {}
    for fold in SCORED_FOLDS:
        parts = []
        identity |= expected[fold]
        for condition in plan.conditions:
            prediction, found = folder.read(condition, fold)
            _check_same(identity, found, folder.table_path(condition, fold), do)
            identity = {**found, **identity}
            parts.append(prediction)
        first = parts[0]
        if any(part.ids != first.ids or list(part.views) != list(first.views) for part in parts):
            raise RunError("prediction tables of one fold differ in their rows", where=folder.path, do=do)
        views = {view: np.stack([part.views[view] for part in parts]) for view in first.views}
        folds[fold] = FoldPredictions(first.ids, first.videos, first.labels, views)
    return SweepPredictions(plan, folder.task, folds["valid"], folds["test"], identity)


def _check_same(expected: Identity, found: Identity, path: Path, do: str) -> None:
    for name in {TARGET: None, **expected}:
        if found.get(name) != expected.get(name):
            raise RunError(
                f"these predictions belong to another {name}",
                where=path,
                found=found.get(name, "none"),
                expected=expected.get(name, "none"),
                do=do,
            )


def _told(condition: Condition) -> str:
    if condition.kept:
        return f"{condition.pattern}, {condition.kept} kept"
    if condition.name == condition.pattern:
        return f"{condition.pattern} data"
    return f"{condition.pattern} at missing rate {condition.rate:g}, mask seed {condition.mask_seed}"


def _table_digest(table: pa.Table, belongs: Mapping[str, str]) -> str:
    """SHA-256 over what a table belongs to, and the name, type and values of every column."""
    digest = hashlib.sha256(json.dumps(belongs, sort_keys=True).encode())
    for name in table.column_names:
        column = table[name]
        digest.update(f"{name} {column.type} {len(column)}".encode())
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            digest.update(column.to_numpy().tobytes())
        else:
            digest.update(json.dumps(column.to_pylist()).encode())
    return f"sha256:{digest.hexdigest()}"


def _damaged(path: Path, why: object) -> DamagedRunError:
    return DamagedRunError(
        f"damaged predictions ({why})", where=path, do="Make them again with `cider evaluate RUN --force`"
    )


def told_target(target: str) -> str:
    """The name of a target for a person."""
    dataset, store, split = target.removeprefix("on-").split(".")
    return f"on {dataset}, store {store}, split {split}"
