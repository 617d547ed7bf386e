"""Where utterances lie in the space of joint representations, over missing rates (paper Fig. 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cider.figures.trained import LoadedRun
from cider.prediction.text_cache import TextFeatureCache
from cider.scoring.conditions import condition_of
from mer_data.errors import RunError
from mer_data.files.csv_files import write_csv
from mer_data.files.writing import write_json
from mer_data.progress import Progress
from mer_data.reports.charts.scatter import ScatterPanel, scatter_chart
from mer_data.tasks import Task

Method = Literal["tsne", "pca"]
METHODS: tuple[Method, ...] = ("tsne", "pca")
_PERPLEXITY = 30.0
_LEAST_UTTERANCES = 5


@dataclass(frozen=True)
class Panel:
    """One run at one missing rate.

    Attributes:
        run: how the run is called.
        rate: missing rate.
        points: (N, 2) projection of the joint representations.
        silhouette: mean silhouette of the classes in the joint space itself, in [-1, 1], higher is further
            apart; NaN where it is undefined.
    """

    run: str
    rate: float
    points: NDArray[np.float64]
    silhouette: float


@dataclass(frozen=True)
class Embedding:
    """What the figure shows.

    Attributes:
        fold: of the utterances.
        pattern: missing pattern.
        mask_seed: of its masks.
        method: of the projection.
        task: whose classes are told apart.
        ids: of N utterances.
        classes: (N,) index of each one's true class.
        panels: by run, then by rate.
    """

    fold: str
    pattern: str
    mask_seed: int
    method: Method
    task: Task
    ids: list[str]
    classes: NDArray[np.int64]
    panels: tuple[Panel, ...]

    def to_frame(self) -> pd.DataFrame:
        """A row per panel and utterance: run, rate, id, class, x, y."""
        names = [self.task.classes[index] for index in self.classes]
        parts = [
            pd.DataFrame(
                {
                    "run": panel.run,
                    "rate": panel.rate,
                    "id": self.ids,
                    "class": names,
                    "x": panel.points[:, 0],
                    "y": panel.points[:, 1],
                }
            )
            for panel in self.panels
        ]
        return pd.concat(parts, ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """Plain values: what was done, and the silhouette of every panel (null where undefined)."""
        return {
            "fold": self.fold,
            "pattern": self.pattern,
            "mask_seed": self.mask_seed,
            "method": self.method,
            "utterances": len(self.ids),
            "panels": [
                {
                    "run": panel.run,
                    "rate": panel.rate,
                    "silhouette": None if np.isnan(panel.silhouette) else round(panel.silhouette, 6),
                }
                for panel in self.panels
            ],
        }

    def write(self, stem: str | Path) -> list[Path]:
        """Write ``stem`` as PNG, PDF, CSV (the points) and JSON (the rest); their paths."""
        stem = Path(stem)
        stem.parent.mkdir(parents=True, exist_ok=True)
        panels = [
            ScatterPanel(f"missing rate {panel.rate:g}, {_told(panel.silhouette)}", panel.points)
            for panel in self.panels
        ]
        paths = scatter_chart(
            panels,
            groups=self.classes,
            group_names=self.task.classes,
            row_names=list(dict.fromkeys(panel.run for panel in self.panels)),
            title=f"Joint representations of {len(self.ids)} {self.fold} utterances under {self.pattern},"
            f" projected by {_NAMES[self.method]}; silhouette of the true classes in the joint space itself",
            path_stem=stem,
        )
        table, facts = stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")
        write_csv(self.to_frame(), table, float_format="%.6g")
        write_json(facts, self.to_json())
        return [*paths, table, facts]


_NAMES: dict[Method, str] = {"tsne": "t-SNE", "pca": "PCA"}


def embed_runs(
    runs: Sequence[str | Path],
    rates: Sequence[float],
    *,
    fold: str = "test",
    method: Method = "tsne",
    progress: Progress | None = None,
) -> Embedding:
    """Project the joint representations h_m of a fold, for every run and missing rate by itself.

    Masks are those of the evaluation of the first run: its pattern and first mask seed.

    Args:
        runs: run folders, trained for one task on one split.
        rates: missing rates.
        fold: "train", "valid" or "test".
        method: of the projection: t-SNE (from PCA, with a fixed seed) or PCA.
        progress: called with the panels done and in total.

    Raises:
        MerDataError: no run, runs of different data, or a fold too small to be projected.
    """
    paths = [Path(path) for path in runs]
    first = LoadedRun.open(paths[0])
    settings, task = first.experiment.recipe.evaluation, first.experiment.task
    conditions = [condition_of(settings.pattern, rate, settings.mask_seed) for rate in rates]
    ids: list[str] = []
    classes = np.empty(0, dtype=np.int64)
    panels: list[Panel] = []
    for path, name in zip(paths, _run_names(paths), strict=True):
        run = first if path == paths[0] else LoadedRun.open(path)
        _check_same(first, run)
        predictor = run.fold(fold)
        ids, classes = predictor.ids, task.class_of(predictor.labels)
        if len(ids) < _LEAST_UTTERANCES:
            raise RunError(
                f"the fold {fold} is too small to be projected",
                found=f"{len(ids)} utterances",
                expected=f"at least {_LEAST_UTTERANCES}",
            )
        texts = TextFeatureCache(run.model.text_encoder, pad_id=run.experiment.special.pad)
        for rate, condition in zip(rates, conditions, strict=True):
            joint = predictor.joint_condition(condition, texts=texts)
            panels.append(Panel(name, rate, project(joint, method), class_silhouette(joint, classes)))
            if progress is not None:
                progress(len(panels), len(paths) * len(rates))
    return Embedding(fold, settings.pattern, settings.mask_seed, method, task, ids, classes, tuple(panels))


def project(joint: NDArray[np.float64], method: Method) -> NDArray[np.float64]:
    """Points (N, D) in two dimensions (N, 2); equal input gives equal output."""
    if method == "pca":
        from sklearn.decomposition import PCA

        points: NDArray[np.float64] = PCA(2, svd_solver="full").fit_transform(joint)
        return points
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(joint) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=0, n_jobs=1)
    return np.asarray(tsne.fit_transform(joint), dtype=np.float64)


def class_silhouette(joint: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """Mean silhouette of classes (N,) by Euclidean distance (N, D); NaN for one class or one member each."""
    from sklearn.metrics import silhouette_score

    if not 1 < len(np.unique(classes)) < len(classes):
        return float("nan")
    return float(silhouette_score(joint, classes))


def _told(silhouette: float) -> str:
    return "silhouette undefined" if np.isnan(silhouette) else f"silhouette {silhouette:.3f}"


def _run_names(paths: Sequence[Path]) -> list[str]:
    """Folder names, with their parents where those alone are not distinct."""
    places = [path.resolve() for path in paths]
    names = [place.name for place in places]
    return (
        names if len(set(names)) == len(names) else [f"{place.parent.name}/{place.name}" for place in places]
    )


def _check_same(first: LoadedRun, other: LoadedRun) -> None:
    """Raise a RunError unless both have the same task and folds."""
    for what, found, expected in (
        ("task", other.experiment.task.name, first.experiment.task.name),
        ("split", other.experiment.split.digest, first.experiment.split.digest),
    ):
        if found != expected:
            raise RunError(
                f"the runs have another {what}", where=other.folder.path, found=found, expected=expected,
                do=f"Show runs of one {what}",
            )  # fmt: skip
