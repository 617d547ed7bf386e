"""A recipe: everything that decides a run, typed, checked before data is read, and saved with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

import cider
from cider.models.registry import find_model
from cider.models.settings import BackboneSettings
from mer_data.errors import RecipeError
from mer_data.files import write_text
from mer_data.resources import resource_folder
from mer_data.tasks import TaskName

Maci = Literal["none", "label", "language", "both"]
Pattern = Literal["rmfm", "rmfm_same", "rmm", "tmfm", "stmfm"]
TrainingPattern = Literal[Pattern, "none"]
EvaluationPattern = Literal[Pattern, "smm"]
Debiasing = Literal["probability", "log"]
EvaluationPrecision = Literal["float32", "bf16"]
Fusion = Literal["composite", "vanilla"]
Metric = Literal["acc2", "f1", "acc3", "acc7"]
TASK_METRICS: dict[TaskName, tuple[Metric, ...]] = {"binary": ("acc2", "f1", "acc3"), "seven": ("acc7",)}


def _yaml_no(value: object) -> object:
    return "no" if value is False else value


MixedPrecision = Annotated[
    Literal["auto", "no", "bf16", "fp16"],
    BeforeValidator(_yaml_no),  # YAML reads a bare no as false
]


def _rising(rates: tuple[float, ...]) -> tuple[float, ...]:
    if not rates or any(not 0 <= rate <= 1 for rate in rates) or sorted(set(rates)) != list(rates):
        raise ValueError("rates must rise and lie in [0, 1]")
    return rates


Rates = Annotated[tuple[float, ...], AfterValidator(_rising)]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError("seeds must be different numbers from 0 on")
    return seeds


Seeds = Annotated[tuple[int, ...], AfterValidator(_distinct)]


class _Strict(BaseModel):
    """Unknown keys are errors; a loaded recipe does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(_Strict):
    """Which store and split: names in the workspace, or paths; ``split: null`` takes the only one."""

    dataset: str
    alignment: str = "unaligned"
    split: str | None = None


class _AnyModel(_Strict):
    """What every model has. ``maci`` names the halves of causal inference that are on."""

    name: str
    text_encoder: str = "bert-base-uncased"
    maci: Maci = "both"

    @property
    def debiases_label(self) -> bool:
        """Whether the multimodal causal module is on."""
        return self.maci in ("label", "both")

    @property
    def debiases_language(self) -> bool:
        """Whether counterfactual text is used at evaluation."""
        return self.maci in ("language", "both")


class ModelSettings(_AnyModel):
    """CIDer (method section 3).

    ``word_alignment`` (WSAM, of unaligned data) and ``fusion`` (composite attention, or a vanilla
    transformer) are there to be switched in ablations.
    """

    name: Literal["cider"] = "cider"
    width: int = Field(default=32, gt=0)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    attention_dropout: float = Field(default=0.1, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.1, ge=0, lt=1)
    output_dropout: float = Field(default=0.1, ge=0, lt=1)
    relu_dropout: float = Field(default=0.1, ge=0, lt=1)
    residual_dropout: float = Field(default=0.1, ge=0, lt=1)
    residual_from_norm: bool = False
    word_alignment: bool = True
    fusion: Fusion = "composite"


class OtherModelSettings(_AnyModel):
    """A model of `cider.models.registry`, or "module:class" of one's own, with its own ``settings``."""

    settings: SerializeAsAny[BackboneSettings] = Field(default={}, validate_default=True)

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            find_model(name)
        except RecipeError as error:
            raise ValueError(str(error).removesuffix(".")) from error
        return name

    @field_validator("settings", mode="before")
    @classmethod
    def _settings_of_the_model(cls, value: object, info: ValidationInfo) -> object:
        name = info.data.get("name")
        return value if name is None else find_model(name).Settings.model_validate(value)


def _model_of_its_name(value: object) -> object:
    """Settings of the model that is named; without a name, of CIDer."""
    if isinstance(value, OtherModelSettings) or (
        isinstance(value, dict) and value.get("name", "cider") != "cider"
    ):
        return OtherModelSettings.model_validate(value)
    return ModelSettings.model_validate(value)


class MissingSettings(_Strict):
    """What is removed in training: one rate in [0, 1) per utterance, or (R's way) a new one per position.

    Pattern ``none`` trains on complete data; CIDer, which compares complete with incomplete, refuses it.
    """

    pattern: TrainingPattern = "rmfm"
    rate: Literal["per_utterance", "per_position"] = "per_utterance"

    @model_validator(mode="after")
    def _per_position_is_of_rmfm(self) -> MissingSettings:
        if self.rate == "per_position" and self.pattern != "rmfm":
            raise ValueError(f"rate per_position goes with pattern rmfm, not {self.pattern}")
        return self


class LossSettings(_Strict):
    """Weights of the distillation losses (paper eq. 30)."""

    alpha_reconstruction: float = Field(default=0.5, ge=0)
    beta_attention: float = Field(default=0.1, ge=0)
    gamma_joint: float = Field(default=0.5, ge=0)


class TrainingSettings(_Strict):
    """Optimisation (method section 4).

    ``batch_size`` utterances make one step, over all processes; ``gradient_accumulation`` is the number of
    parts that a process cuts its share into when that does not fit into memory. Results are those of the
    whole batch.
    """

    batch_size: int = Field(default=128, gt=0)
    gradient_accumulation: int = Field(default=1, gt=0)
    max_epochs: int = Field(default=200, gt=0)
    patience: int = Field(default=10, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    encoder_learning_rate: float = Field(default=5e-5, gt=0)
    encoder_weight_decay: float = Field(default=1e-3, ge=0)
    mixed_precision: MixedPrecision = "auto"
    num_workers: int = Field(default=0, ge=0)


class SelectionSettings(_Strict):
    """What decides on the validation fold when to stop and which epoch to keep: a mean over rates."""

    metric: Literal["loss", Metric] = "loss"
    rates: Rates = (0.0,)


class EvaluationSettings(_Strict):
    """What ``cider evaluate`` measures, and how (method section 6).

    Attributes:
        pattern: missing pattern; smm takes its seven cases in place of the rates.
        rates: missing rates.
        mask_seeds: seeds of the masks; scores are means over them. Validation in training uses the first.
        batch_size: utterances at a time; small batches stay in a processor's cache.
        precision: of the computations; float32 is the reference.
        tau_metric: what validation chooses tau by; null takes acc2 for binary and acc7 for seven.
        debiasing: subtract probabilities (the paper) or their logarithms (its released implementation).
        resamples: of the bootstrap behind the confidence intervals.
    """

    pattern: EvaluationPattern = "rmfm"
    rates: Rates = tuple(round(0.1 * step, 1) for step in range(11))
    mask_seeds: Seeds = (0,)
    batch_size: int = Field(default=32, gt=0)
    precision: EvaluationPrecision = "float32"
    tau_metric: Metric | None = None
    debiasing: Debiasing = "probability"
    resamples: int = Field(default=1000, ge=100)

    @property
    def mask_seed(self) -> int:
        """The first mask seed, where one is enough."""
        return self.mask_seeds[0]


class Recipe(_Strict):
    """A whole experiment."""

    name: str
    task: TaskName = "binary"
    seed: int = Field(default=1111, ge=0)
    data: DataSettings
    model: Annotated[ModelSettings | OtherModelSettings, BeforeValidator(_model_of_its_name)] = (
        ModelSettings()
    )
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
