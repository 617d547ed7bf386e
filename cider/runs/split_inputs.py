"""What is computed of a store and a split before a recipe can train: where it is, and what makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cider.recipe.schema import Recipe
from mer_data.workspace import Workspace


@dataclass(frozen=True)
class SplitInput:
    """Class statistics or a counterfactual vocabulary.

    Attributes:
        save_path: where it is saved to.
        read_path: the file that is read, which is there when all of it is.
        command: the ``mer-data`` command that makes it.
        needed: whether the model of the recipe reads it.
    """

    save_path: Path
    read_path: Path
    command: str
    needed: bool

    @property
    def is_missing(self) -> bool:
        """Whether it must be made first."""
        return self.needed and not self.read_path.is_file()


def statistics_input(recipe: Recipe, store: Path, split: Path) -> SplitInput:
    """The class statistics that label debiasing of ``recipe`` reads; store and split need not be there."""
    encoder = recipe.model.text_encoder
    path = Workspace(recipe.data.dataset).statistics_path(store, split, recipe.task, encoder)
    command = f"{_command('statistics', recipe, split)} --text-encoder {encoder}"
    return SplitInput(path, path, command, recipe.model.debiases_label)


def vocabulary_input(recipe: Recipe, store: Path, split: Path) -> SplitInput:
    """The vocabulary that language debiasing of ``recipe`` reads; store and split need not be there."""
    path = Workspace(recipe.data.dataset).vocabulary_path(store, split, recipe.task)
    command = _command("counterfactual-vocab", recipe, split)
    return SplitInput(path, path.with_suffix(".json"), command, recipe.model.debiases_language)


def _command(verb: str, recipe: Recipe, split: Path) -> str:
    """The mer-data command for exactly this store, split and task."""
    data = recipe.data
    return (
        f"mer-data {verb} --dataset {data.dataset} --alignment {data.alignment}"
        f" --split {split.stem} --task {recipe.task}"
    )
