"""A recipe: everything that decides a run, typed, checked before data is read, and saved with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

import cider
from cider.recipe_settings import (
    TASK_METRICS,
    DataSettings,
    EvaluationSettings,
    LossSettings,
    MissingSettings,
    ModelSettings,
    OtherModelSettings,
    SelectionSettings,
    Strict,
    TrainingSettings,
    model_of_its_name,
)
from mer_data.errors import RecipeError
from mer_data.files import write_text
from mer_data.resources import resource_folder
from mer_data.tasks import TaskName


class Recipe(Strict):
    """A whole experiment."""

    name: str
    task: TaskName = "binary"
    seed: int = Field(default=1111, ge=0)
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

    def save(self, path: Path) -> None:
        """Write the resolved recipe as YAML."""
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def recipe_folder() -> Path:
    """Folder of the packaged recipes."""
    return resource_folder(cider.__file__, "recipes")


def find_recipe(name: str) -> Path:
    """The recipe at path ``name``, or the packaged one of that name.

    Raises:
        RecipeError: there is none; the packaged ones are listed.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    packaged = recipe_folder() / f"{path.stem}.yaml"
    named = path.suffix in ("", ".yaml") and (name == path.name or path.parent.name == "recipes")
    if named and packaged.is_file():
        return packaged
    known = ", ".join(sorted(found.stem for found in recipe_folder().glob("*.yaml")))
    raise RecipeError(f"no recipe {name!r}", expected=f"a YAML file or one of {known}")


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and apply ``key=value`` overrides (dotted keys, YAML values).

    Raises:
        RecipeError: not YAML, or any key or value is wrong; everything wrong is told at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe ({error})", where=path) from error
    if not isinstance(content, dict):
        raise RecipeError("a recipe is a mapping of keys", where=path, found=type(content).__name__)
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(_tell(one["loc"], one["msg"]) for one in error.errors())
        raise RecipeError(f"wrong recipe ({wrong})", where=path, do="Correct these keys") from error


def _tell(place: tuple[int | str, ...], message: str) -> str:
    key = f"{'.'.join(map(str, place))}: " if place else ""
    return key + message.removeprefix("Value error, ")


def _override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise RecipeError(
            "not an override", found=repr(override), expected="key=value, such as model.layers=3"
        )
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{parent!r} of override {override!r} is not a group of keys")
        place = inner
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError("the value of an override is not YAML", found=repr(override)) from error
