"""Small sweeps made of arrays, without a model."""

from pathlib import Path

import numpy as np

from cider.reports.notes import RunFacts, SweepResult
from cider.scoring.conditions import SweepPlan
from cider.scoring.groups import ScoredRun
from cider.scoring.intervals import sweep_intervals
from cider.scoring.prediction_frame import (
    COUNTERFACTUAL,
    EVALUATED_MEANS,
    FACTUAL,
    TRAINING_MEANS,
    FoldPredictions,
    SweepPredictions,
)
from cider.scoring.protocols import score_sweep
from mer_data.splits import SplitManifest
from mer_data.splits.series import SeriesSplit
from mer_data.tasks import TASKS

BINARY, SEVEN = TASKS["binary"], TASKS["seven"]
PLAN = SweepPlan.from_settings("rmfm", (0.0, 0.5, 1.0), (0,))
IDENTITY = {
    "checkpoint": "sha256:c1",
    "store": "sha256:abc",
    "split": "sha256:def",
    "task": "binary",
    "vocabulary": "sha256:123",
    "masks": "splitmix64-nested-1",
    "precision": "float32",
}
PROVENANCE = {
    "recipe_digest": "sha256:456",
    "store_digest": "sha256:abc",
    "split_digest": "sha256:def",
    "fold_sizes": {"train": 60, "valid": 12, "test": 24},
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"torch": "2.13.0"},
}


def fold(labels, views, *, name="test", videos=None):
    """Predictions of one fold; ``views`` are (K, N, C) arrays by (text, means)."""
    ids = [f"{name}{number:03d}" for number in range(len(labels))]
    videos = videos or [f"v{number // 4}" for number in range(len(labels))]
    return FoldPredictions(ids, videos, np.asarray(labels, dtype=np.float64), views)


def random_fold(plan, task, size, seed, *, name="test", counterfactual=True, evaluated=True):
    """Random probabilities that lean to the true class, the less so the higher the condition's rate."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.round(np.linspace(-3, 3, 31), 1), size=size)
    truth = np.eye(task.num_classes)[task.class_of(labels)]

    def draw(lean):
        rates = np.array([condition.rate for condition in plan.conditions])
        logits = rng.normal(size=(len(rates), size, task.num_classes))
        logits = logits + lean * (1 - rates)[:, None, None] * truth
        return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)

    means = (TRAINING_MEANS, EVALUATED_MEANS) if evaluated else (TRAINING_MEANS,)
    views = {(FACTUAL, one): draw(2.0) for one in means}
    if counterfactual:
        views |= {(COUNTERFACTUAL, one): draw(0.0) for one in means}
    return fold(labels, views, name=name)


def random_sweep(plan=PLAN, task=BINARY, *, size=24, seed=0, counterfactual=True, **identity):
    """A whole sweep of random predictions."""
    return SweepPredictions(
        plan,
        task,
        random_fold(
            plan, task, 40, seed + 1000, name="valid", counterfactual=counterfactual, evaluated=False
        ),
        random_fold(plan, task, size, seed, counterfactual=counterfactual),
        IDENTITY | {"task": task.name} | identity,
    )


def measured(predictions, **settings):
    """Scores and intervals of predictions."""
    scores = score_sweep(predictions, **settings)
    return SweepResult(predictions, scores, sweep_intervals(predictions, scores, 100))


def facts(recipe, result=None):
    return RunFacts("tiny-seed1111", recipe, PROVENANCE, result)


def scored_run(recipe, predictions, path="runs/one", **settings):
    scores = score_sweep(predictions, **settings)
    return ScoredRun(
        Path(path), recipe.seed, recipe.trained_with(), predictions.identity, predictions.test, scores
    )


def series_split(severity, ids, *, dataset="sample", task="binary", seed=0):
    """The split of a severity whose test fold has these ids; its shift is made up."""
    manifest = SplitManifest(
        dataset=dataset,
        task=task,
        kind="ood",
        generator={"name": "repartition", "seed": seed, "severity": severity},
        utterance_digest="sha256:0",
        splits={"train": ("train",), "valid": ("valid",), "test": tuple(ids)},
        dropped=(),
        shift={
            "word_label_divergence_bits": {"this_split": round(severity / 8, 6), "random_mean": 0.016},
            "text_probe": {"metric": "acc2", "test": 0.9 - severity / 2},
            "videos": {"num_test": 3},
            "valid_with": "train",
        },
    )
    return SeriesSplit.from_manifest(Path(f"splits/severity{severity:g}.json"), manifest)
