"""The store, split, statistics and vocabulary of a run, found again by digest.

A run records a digest and a path of each. Later commands take the file with that digest, wherever it is in
the workspace by then and whatever else is there. Where there is none, they say what is gone or has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cider.recipe.schema import Recipe
from mer_data.errors import MerDataError, RunError
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import statistics_digest
from mer_data.statistics.vocabulary import load_vocabulary
from mer_data.store.reader import FeatureStore
from mer_data.workspace import Workspace, home

Kind = Literal["store", "split", "statistics", "vocabulary"]
_FOLDERS: dict[Kind, tuple[str, str]] = {
    "store": ("store", "*.h5"),
    "split": ("splits", "*.json"),
    "statistics": ("statistics", "*.h5"),
    "vocabulary": ("statistics", "*.vocabulary.json"),
}
_TOLD: dict[Kind, str] = {
    "store": "store",
    "split": "split",
    "statistics": "class statistics",
    "vocabulary": "counterfactual vocabulary",
}


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
        """Return whether it must be made first."""
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


def input_digest(kind: Kind, path: Path) -> str:
    """Digest of the content of an input, whatever the layout of its file.

    Raises:
        MerDataError: the file is missing or damaged.
        OSError: it cannot be read.
    """
    if kind == "store":
        return FeatureStore.open(path).content_digest
    if kind == "split":
        return SplitManifest.load(path).digest
    if kind == "statistics":
        return statistics_digest(path)
    return str(load_vocabulary(path)["content_digest"])


def recorded_input(kind: Kind, path: Path | None) -> dict[str, str | None]:
    """Return the entry of one input in a run's provenance.

    Args:
        kind: which.
        path: where it is; None: the model reads none. One that is missing has no digest: training says so.
    """
    if path is None:
        return {kind: None, f"{kind}_digest": None}
    return {
        kind: str(path.absolute()),
        f"{kind}_digest": input_digest(kind, path) if path.is_file() else None,
    }


def asks_for(recipe: Recipe, trained: Recipe) -> bool:
    """Return whether a run of ``trained`` is what ``recipe`` asks for.

    A recipe that names no split asks for the only one there was; the recipe of a run names it.
    """
    one, other = _comparable(recipe, trained)
    return one == other


def recipe_difference(recipe: Recipe, trained: Recipe) -> dict[str, str]:
    """The first key in which a run is not what ``recipe`` asks for, as "found" and "expected" of an error."""
    asked, found = (_flat(one.model_dump(mode="json")) for one in _comparable(recipe, trained))
    key = next(key for key in {**asked, **found} if asked.get(key) != found.get(key))
    return {"found": f"{key}={found.get(key)}", "expected": f"{key}={asked.get(key)}"}


def _comparable(recipe: Recipe, trained: Recipe) -> tuple[Recipe, Recipe]:
    """Both, without the split where one of them leaves it open."""
    if None not in (recipe.data.split, trained.data.split):
        return recipe, trained
    blank = [one.data.model_copy(update={"split": None}) for one in (recipe, trained)]
    return recipe.model_copy(update={"data": blank[0]}), trained.model_copy(update={"data": blank[1]})


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


@dataclass(frozen=True)
class RunInputs:
    """Inputs that a run was trained on.

    Attributes:
        run: its folder.
        recorded: its provenance.
    """

    run: Path
    recorded: Mapping[str, Any]

    def store_path(self, recipe: Recipe) -> Path:
        """The store of the run.

        Raises:
            RunError: it is gone or has changed.
        """
        workspace, name = Workspace(recipe.data.dataset), recipe.data.alignment
        named = [workspace.store_path(name)]
        if name.endswith(".h5"):  # by path: as it is called here, and as it was in training
            named = [Path(name), Path(str(self.recorded.get("store")))]
        return self._find("store", named, workspace.store_command(name))

    def split_path(self, recipe: Recipe) -> Path:
        """The split manifest of the run.

        Raises:
            RunError: it is gone or has changed.
        """
        recorded = Path(str(self.recorded.get("split")))
        workspace, name = Workspace(recipe.data.dataset), recipe.data.split or recorded.stem
        named = [workspace.split_path(name)]
        if name.endswith(".json"):
            named = [Path(name), recorded]
        return self._find("split", named, workspace.split_command(name))

    def split_input(self, kind: Literal["statistics", "vocabulary"], source: SplitInput) -> Path:
        """The class statistics or the vocabulary of the run, the file that is read.

        Args:
            kind: which.
            source: where it is by default; of a run that recorded no digest, that is all there is to know.

        Raises:
            RunError: it is gone or has changed.
        """
        if self.recorded.get(f"{kind}_digest") is None:
            return source.read_path
        return self._find(kind, [source.read_path], source.command)

    def _find(self, kind: Kind, named: list[Path], command: str) -> Path:
        """The first file with the digest that was recorded, by name or anywhere in the workspace."""
        expected, told = str(self.recorded.get(f"{kind}_digest")), _TOLD[kind]
        folder, pattern = _FOLDERS[kind]
        others: dict[Path, str] = {}
        for path in dict.fromkeys([*named, *sorted(home().glob(f"*/{folder}/{pattern}"))]):
            if not path.is_file():
                continue
            found = _digest_or_reason(kind, path)
            if found == expected:
                return path
            others[path] = found
        shown = next(iter(others), None)
        changed = shown in named
        more = f" and {len(others) - 1} more files" if len(others) > 1 else ""
        raise RunError(
            f"the run was trained on another {told}"
            if changed
            else f"the {told} that the run was trained on is gone",
            where=self.run,
            found="no file to compare" if shown is None else f"{others[shown]} in {shown}{more}",
            expected=f"{expected}, as {named[0]} or in {home()}/*/{folder}/{pattern}",
            do=f"Restore it, or make it again with `{command}{' --force' if changed else ''}`, or point"
            " MER_DATA_HOME to the workspace it was trained in; else train again with --force",
        )


def _digest_or_reason(kind: Kind, path: Path) -> str:
    """The digest of a candidate; of one that cannot be read, why not."""
    try:
        return input_digest(kind, path)
    except (MerDataError, OSError) as error:
        return f"({error})"
