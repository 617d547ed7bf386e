"""Confusion matrices of the strict answers at chosen points of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cider.scoring.conditions import SweepPlan
from cider.scoring.protocols import SweepScores
from mer_data.reports.charts.matrices import Matrix, matrix_chart
from mer_data.tasks import Task

SMM_SHOWN = ("LAV", "L", "AV")


def confusion(scores_NC: NDArray[np.float64], labels: NDArray[np.float64], task: Task) -> NDArray[np.int64]:
    """Utterances by true class (rows) and predicted class (columns), (C, C)."""
    counts = np.zeros((task.num_classes, task.num_classes), dtype=np.int64)
    np.add.at(counts, (task.class_of(labels), scores_NC.argmax(axis=1)), 1)
    return counts


def chosen_points(plan: SweepPlan) -> list[int]:
    """Numbers of the points that are looked at closely: the first, the middle, the last but one.

    At the highest rate of a sweep nothing may be left to predict from. Of SMM the cases are complete data,
    text alone, and text lost.
    """
    num = len(plan.points)
    if not plan.rates:
        labels = [point.label for point in plan.points]
        return [labels.index(kept) for kept in SMM_SHOWN]
    return sorted({0, num // 2, max(0, num - 2)})


def draw_confusion(scores: SweepScores, labels: NDArray[np.float64], path_stem: Path) -> list[Path]:
    """Draw the matrices as PNG and PDF; cells are shares of their row, averaged over the mask seeds.

    Returns:
        The paths of the PNG and the PDF.
    """
    plan, task = scores.plan, scores.task
    panels = []
    for number in chosen_points(plan):
        matrices = [confusion(scores.answers[row], labels, task) for row in plan.index[number]]
        counts = np.mean(matrices, axis=0)
        totals = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
        texts = [["" if value != value else f"{100 * value:.0f}" for value in row] for row in shares]
        label = plan.points[number].label
        panels.append(Matrix(f"missing rate {label}" if plan.rates else f"{label} kept", shares, texts))
    return matrix_chart(
        panels,
        row_names=_row_names(labels, task),
        column_names=task.classes,
        row_label="True class (utterances)",
        column_label="Predicted class",
        title="Confusion matrices, percent of the true class",
        path_stem=path_stem,
    )


def _row_names(labels: NDArray[np.float64], task: Task) -> list[str]:
    counts = np.bincount(task.class_of(labels), minlength=task.num_classes)
    return [f"{name} ({count})" for name, count in zip(task.classes, counts, strict=True)]
