"""A recipe: everything that decides a run, typed, checked before data is read, and saved with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from cider.recipe.settings import (
    DataSettings,
    EvaluationSettings,
    LossSettings,
    MissingSettings,
    ModelSettings,
    OtherModelSettings,
    SelectionSettings,
    TrainingSettings,
    model_of_its_name,
)
from cider.scoring.names import TASK_METRICS
from mer_data.errors import RecipeError, did_you_mean
from mer_data.files.resources import resource_folder
from mer_data.files.strict_model import StrictModel, WholeNumber, shortened, tell_faults
from mer_data.files.writing import is_plain_name, write_text
from mer_data.files.yaml_files import (
    MAX_DEPTH,
    Place,
    YamlDocument,
    YamlError,
    parse_yaml,
    read_yaml,
    to_yaml,
)
from mer_data.seeds import MAX_SEED
from mer_data.tasks import TaskName


def _plain_name(name: str) -> str:
    """The name of a recipe is part of the name of its run's folder."""
    if not is_plain_name(name):
        raise ValueError('expected the name of a folder: no / \\ : * ? " < > |, no dot or space at its ends')
    return name


_NOT_TRAINED_WITH = ("seed", "evaluation")
"""Keys in which runs of one training may differ: the seed, and how a trained model is measured."""


class Recipe(StrictModel):
    """A whole experiment."""

    name: Annotated[str, AfterValidator(_plain_name)]
    task: TaskName = "binary"
    seed: WholeNumber = Field(default=1111, ge=0, le=MAX_SEED)
    data: DataSettings
    model: Annotated[ModelSettings | OtherModelSettings, BeforeValidator(model_of_its_name)] = ModelSettings()
    missing: MissingSettings = MissingSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    selection: SelectionSettings = SelectionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _validation_has_its_rates(self) -> Recipe:
        if self.evaluation.pattern == "smm" and self.selection.rates != (0.0,):
            raise ValueError("selection.rates: evaluation.pattern smm has no rates, so it can only be [0.0]")
        return self

    @model_validator(mode="after")
    def _metrics_are_of_the_task(self) -> Recipe:
        chosen = {
            "selection.metric": self.selection.metric,
            "evaluation.tau_metric": self.evaluation.tau_metric,
        }
        known = TASK_METRICS[self.task]
        wrong = [
            f"{key}: task {self.task} has no {metric}, choose {' or '.join(known)}"
            for key, metric in chosen.items()
            if metric not in (None, "loss", *known)
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @model_validator(mode="after")
    def _distillation_is_of_cider(self) -> Recipe:
        if self.model.name == "cider":
            if self.missing.pattern == "none":
                raise ValueError(
                    "missing.pattern: cider distils complete data into incomplete; none is not possible"
                )
        elif self.loss != LossSettings():
            raise ValueError(f"loss: the weights are of cider's distillation, {self.model.name} has none")
        return self

    def trained_with(self) -> dict[str, Any]:
        """Return what decides a training but for its seed, flat: {"name": ..., "model.width": 32, ...}."""
        content = self.model_dump(mode="json", exclude=set(_NOT_TRAINED_WITH))
        flat: dict[str, Any] = {}
        for key, value in content.items():
            inner = value.items() if isinstance(value, dict) else ()
            flat.update({f"{key}.{name}": item for name, item in inner} or {key: value})
        return flat

    def save(self, path: str | Path) -> None:
        """Write the resolved recipe as YAML."""
        write_text(path, to_yaml(self.model_dump(mode="json")))


def seeds_of_one_recipe(recipes: Sequence[Recipe]) -> bool:
    """Return whether recipes differ in nothing but the seed, and how a trained model is measured."""
    return all(recipe.trained_with() == recipes[0].trained_with() for recipe in recipes)


def recipe_folder() -> Path:
    """Folder of the packaged recipes."""
    return resource_folder(Path(__file__).resolve().parents[1], "recipes")


def known_recipes() -> list[str]:
    """Return the names of the packaged recipes."""
    return sorted(found.stem for found in recipe_folder().glob("*.yaml"))


def find_recipe(name: str | Path) -> Path:
    """The recipe at path ``name``, or the packaged one of that name.

    Raises:
        RecipeError: there is none; the packaged ones are listed.
    """
    path, name = Path(name), str(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    packaged = recipe_folder() / f"{path.stem}.yaml"
    named = path.suffix in ("", ".yaml") and (name == path.name or path.parent.name == "recipes")
    if named and packaged.is_file():
        return packaged
    known = known_recipes()
    raise RecipeError(
        f"no recipe {name!r}",
        expected=f"a YAML file or one of {', '.join(known)}",
        do=did_you_mean(path.stem, known),
    )


def load_recipe(
    path: str | Path, overrides: Sequence[str] = (), *, told: Mapping[str, str] = MappingProxyType({})
) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides (dotted keys, YAML values).

    Args:
        path: of the recipe.
        overrides: in the order in which they are applied.
        told: what messages call an override that was not given with ``--set``: {"seed=3": "--seed 3"}.

    Raises:
        RecipeError: not YAML, or any key or value is wrong; everything wrong is told at once, each with the
            line or the override that it came from.
    """
    path = Path(path)
    document = read_yaml(path, "recipe", RecipeError)
    content = document.content
    if not isinstance(content, dict):
        raise RecipeError("a recipe is a mapping of keys", where=path, found=type(content).__name__)
    origins = _Origins(document)
    for override in overrides:
        name = told.get(override) or f"--set {shortened(override)}"
        origins.overridden[_override(content, override, name)] = name
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        wrong = tell_faults(error, origins.of)
        where = path if origins.in_file else None
        raise RecipeError(f"wrong recipe ({wrong})", where=where, do="Correct these keys") from error


@dataclass
class _Origins:
    """Origins of the values of a recipe: lines of its file, and overrides by their keys."""

    document: YamlDocument
    overridden: dict[Place, str] = field(default_factory=dict)
    in_file: bool = False

    def of(self, place: Place) -> str | None:
        """Return the origin of a wrong value; of a group, that of the overridden values in it."""
        whole = [text for key, text in self.overridden.items() if place[: len(key)] == key]
        parts = [text for key, text in self.overridden.items() if key[: len(place)] == place]
        if not whole:
            self.in_file = True
        if whole or parts:
            return ", ".join(whole[-1:] or parts)
        line = self.document.line(place)
        return f"line {line}" if line else None


def _override(content: dict[str, Any], override: str, told: str) -> Place:
    """Set a value in a recipe, and return its place; ``told`` is what messages call the override."""
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise RecipeError(
            "not an override",
            found=told,
            expected="key=value, such as --set model.layers=3",
        )
    place = tuple(key.split("."))
    if len(place) > MAX_DEPTH:
        raise RecipeError(f"too many groups of keys in {told}", expected=f"at most {MAX_DEPTH}")
    group = content
    for name in place[:-1]:
        inner = group.setdefault(name, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{name!r} of {told} is not a group of keys")
        group = inner
    try:
        group[place[-1]] = parse_yaml(value).content
    except YamlError as error:
        raise RecipeError(f"the value of {told} is not plain YAML ({error})") from error
    return place
