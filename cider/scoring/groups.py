"""Runs that can be compared: the same test utterances, grouped by recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from cider.scoring.prediction_frame import FoldPredictions
from cider.scoring.protocols import SweepScores
from mer_data.errors import RunError

_NAMED = 3


@dataclass(frozen=True)
class ScoredRun:
    """A run with its test scores.

    Attributes:
        path: its folder.
        seed: of training.
        trained_with: all other keys of its recipe that decide the training, flat: "model.width".
        identity: digests of what its predictions belong to.
        test: its test predictions.
        scores: its scores; ``scores.answers`` are in the order of ``test.ids``.
    """

    path: Path
    seed: int
    trained_with: Mapping[str, Any]
    identity: dict[str, str]
    test: FoldPredictions
    scores: SweepScores

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return str(self.trained_with["name"])


def on_same_utterances(runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    """The runs with their answers in the order of the first run's test utterances.

    Raises:
        RunError: a run twice, different tasks, or different test utterances or labels.
    """
    first = runs[0]
    seen: dict[tuple[str, str], Path] = {}
    for run in runs:
        # With and without counterfactual text runs have the same weights and answer differently.
        same = run.identity["checkpoint"], str(run.trained_with["model.maci"])
        if same in seen:
            raise RunError(f"{run.path} and {seen[same]} are one run: their checkpoints are equal")
        seen[same] = run.path
    return [first, *(_in_order_of(first, run) for run in runs[1:])]


def _in_order_of(first: ScoredRun, run: ScoredRun) -> ScoredRun:
    names = f"{run.path} and {first.path}"
    if run.scores.task != first.scores.task:
        raise RunError(
            f"{names} are for different tasks", found=run.scores.task.name, expected=first.scores.task.name
        )
    expected, found = first.test, run.test
    if set(found.ids) != set(expected.ids):
        raise RunError(
            f"{names} were tested on different utterances",
            found=f"{len(found.ids)}, {_only(found.ids, expected.ids)}",
            expected=f"{len(expected.ids)}, {_only(expected.ids, found.ids)}",
            do="Compare runs of one split",
        )
    row = {name: number for number, name in enumerate(found.ids)}
    order = [row[name] for name in expected.ids]
    other = [
        name
        for name, label in zip(expected.ids, expected.labels, strict=True)
        if found.labels[row[name]] != label
    ]
    if other:
        raise RunError(
            f"{names} have different labels",
            found=f"{len(other)} utterances, such as {other[0]}",
            do="Compare runs on stores of one corpus",
        )
    scores = replace(run.scores, answers=run.scores.answers[:, order])
    return replace(run, test=expected, scores=scores)


def _only(ids: Sequence[str], others: Sequence[str]) -> str:
    """Which utterances are on one side alone."""
    only = sorted(set(ids) - set(others))
    if not only:
        return "none of them alone"
    return f"{len(only)} of them alone ({', '.join(only[:_NAMED])}{', ...' if len(only) > _NAMED else ''})"


def group_runs(runs: Sequence[ScoredRun]) -> dict[str, list[ScoredRun]]:
    """Runs by label of their recipe, in the order of their first run, each group sorted by seed.

    A group has one recipe, store and split; only the seed differs.

    Raises:
        RunError: two runs of a group have one seed.
    """
    result = {}
    for label, members in group_by_recipe(runs).items():
        ordered = sorted(members, key=lambda run: run.seed)
        for one, other in pairwise(ordered):
            if one.seed == other.seed:
                raise RunError(
                    f"{one.path} and {other.path} are trained by one recipe with one seed",
                    found=f"seed {one.seed}",
                    do="Compare one of them, or train with another --seed",
                )
        result[label] = ordered
    return result


def group_by_recipe(runs: Sequence[ScoredRun], *, but_for: Sequence[str] = ()) -> dict[str, list[ScoredRun]]:
    """Runs by label of what they were trained with and on, in their order; seeds are not looked at.

    The label is the recipe's name, followed by the keys that tell it from other groups of that name.

    Args:
        runs: of any recipes.
        but_for: keys in which runs of a group may differ too, such as ``split``.
    """
    groups: dict[str, list[ScoredRun]] = {}
    contents: dict[str, dict[str, Any]] = {}
    for run in runs:
        content = {name: value for name, value in _content(run).items() if name not in but_for}
        key = repr(sorted(content.items()))
        groups.setdefault(key, []).append(run)
        contents[key] = content
    labels = _labels(contents)
    return {labels[key]: members for key, members in groups.items()}


def _content(run: ScoredRun) -> dict[str, Any]:
    """What a run was trained with and on, flat."""
    return {**run.trained_with, "store": run.identity["store"], "split": run.identity["split"]}


def _labels(contents: dict[str, dict[str, Any]]) -> dict[str, str]:
    labels = {}
    for key, content in contents.items():
        same_name = [other for other in contents.values() if other["name"] == content["name"]]
        telling = [name for name in content if any(other[name] != content[name] for other in same_name)]
        details = ", ".join(f"{name}={_short(content[name])}" for name in telling)
        labels[key] = f"{content['name']} ({details})" if details else content["name"]
    return labels


def _short(value: object) -> str:
    text = str(value)
    return text[:15] if text.startswith("sha256:") else text
