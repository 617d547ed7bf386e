"""Names of metrics, missing patterns and subtractions, as recipes and reports write them."""

from __future__ import annotations

from typing import Literal

from mer_data.tasks import TaskName

Pattern = Literal["rmfm", "rmfm_same", "rmm", "tmfm", "stmfm"]
EvaluationPattern = Literal[Pattern, "smm"]
Debiasing = Literal["probability", "log"]
Metric = Literal["acc2", "f1", "acc3", "acc7"]
TASK_METRICS: dict[TaskName, tuple[Metric, ...]] = {"binary": ("acc2", "f1", "acc3"), "seven": ("acc7",)}
