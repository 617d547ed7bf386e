"""What the workspace lacks before recipes can be trained and evaluated, all of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from cider.debiasing.causal_head import CausalHead
from cider.prediction.target import Target
from cider.recipe.schema import Recipe
from cider.runs.experiment import Experiment
from cider.runs.inputs import statistics_input, vocabulary_input
from mer_data.errors import MerDataError
from mer_data.store.choose import choose_store
from mer_data.text.encoder import TextEncoder
from mer_data.workspace import Workspace


def missing_inputs(recipes: Iterable[Recipe]) -> list[str]:
    """One line for every input that is missing or does not fit, with the command that makes it.

    Recipes that read the same inputs are looked at once.
    """
    distinct: dict[tuple[object, ...], Recipe] = {}
    for recipe in recipes:
        model = recipe.model
        key = (recipe.data, recipe.task, model.text_encoder, model.debiases_label, model.debiases_language)
        distinct.setdefault(key, recipe)
    return list(dict.fromkeys(line for recipe in distinct.values() for line in _missing(recipe)))


def missing_targets(targets: Iterable[Target]) -> list[str]:
    """The same for what runs are tested on: a store and a split, nothing else."""
    lines = []
    for target in dict.fromkeys(targets):
        workspace = Workspace(target.dataset)
        lines += _errors(
            partial(choose_store, workspace, target.alignment), partial(workspace.choose_split, target.split)
        )
    return lines


def _missing(recipe: Recipe) -> list[str]:
    workspace, data = Workspace(recipe.data.dataset), recipe.data
    lines = _errors(
        lambda: choose_store(workspace, data.alignment),
        lambda: workspace.choose_split(data.split),
    )
    if lines:
        return lines + _following(recipe, workspace)
    lines = _errors(lambda: Experiment.open(recipe))
    if lines:
        return lines
    experiment = Experiment.open(recipe)
    checks: list[Callable[[], Any]] = [lambda: _check_statistics(experiment)]
    if recipe.model.debiases_language:
        checks.append(experiment.kept_token_ids)
    return _errors(*checks)


def _check_statistics(experiment: Experiment) -> None:
    model = experiment.build_model()
    if isinstance(model.head, CausalHead):
        experiment.class_statistics(cast(TextEncoder, model.text_encoder))


def _following(recipe: Recipe, workspace: Workspace) -> list[str]:
    """What is made after the store and the split, where it is not there."""
    data = recipe.data
    if data.split is None:
        return []
    store, split = workspace.store_path(data.alignment), workspace.split_path(data.split)
    lines = []
    statistics = statistics_input(recipe, store, split)
    if statistics.is_missing:
        lines.append(f"no class statistics in {statistics.read_path}. Make them with `{statistics.command}`.")
    vocabulary = vocabulary_input(recipe, store, split)
    if vocabulary.is_missing:
        lines.append(
            f"no counterfactual vocabulary in {vocabulary.read_path}. Make it with `{vocabulary.command}`."
        )
    return lines


def _errors(*actions: Callable[[], Any]) -> list[str]:
    """What the actions complain about."""
    lines = []
    for action in actions:
        try:
            action()
        except MerDataError as error:
            lines.append(str(error))
    return lines
