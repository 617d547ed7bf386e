"""The parts of a recipe: data, model, missing patterns, losses, optimisation, selection, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cider.model.architecture import Architecture
from cider.models.registry import find_model
from cider.models.settings import BackboneSettings, Maci
from cider.scoring.names import Debiasing, EvaluationPattern, Metric, Pattern
from mer_data.errors import RecipeError
from mer_data.files.strict_model import Number, StrictModel, WholeNumber
from mer_data.seeds import MAX_SEED

TrainingPattern = Literal[Pattern, "none"]
MixedPrecision = Literal["auto", "no", "bf16", "fp16"]
EvaluationPrecision = Literal["float32", "bf16"]


def _rising(rates: tuple[float, ...]) -> tuple[float, ...]:
    if not rates or any(not 0 <= rate <= 1 for rate in rates) or sorted(set(rates)) != list(rates):
        raise ValueError("rates must rise and lie in [0, 1]")
    return rates


Rates = Annotated[tuple[Number, ...], Field(max_length=1001), AfterValidator(_rising)]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds or min(seeds) < 0 or max(seeds) > MAX_SEED or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different numbers from 0 to {MAX_SEED}")
    return seeds


Seeds = Annotated[tuple[WholeNumber, ...], Field(max_length=1000), AfterValidator(_distinct)]


class DataSettings(StrictModel):
    """Which store and split: names in the workspace, or paths; ``split: null`` takes the only one."""

    dataset: str
    alignment: str = "unaligned"
    split: str | None = None


class _AnyModel(StrictModel):
    """Settings of every model.

    ``maci`` names the halves of causal inference that are on. ``classifier_start`` says how the classifiers
    of the causal head start: each from weights of its own, or all from the same.
    """

    name: str
    text_encoder: str = "bert-base-uncased"
    maci: Maci = "both"
    classifier_start: Literal["independent", "equal"] = "independent"

    @property
    def debiases_label(self) -> bool:
        """Return whether the multimodal causal module is on."""
        return self.maci in ("label", "both")

    @property
    def debiases_language(self) -> bool:
        """Return whether counterfactual text is used at evaluation."""
        return self.maci in ("language", "both")


class ModelSettings(Architecture, _AnyModel):
    """CIDer (method section 3)."""

    name: Literal["cider"] = "cider"


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


def model_of_its_name(value: object) -> object:
    """Settings of the model that is named; without a name, of CIDer."""
    if isinstance(value, OtherModelSettings) or (
        isinstance(value, dict) and value.get("name", "cider") != "cider"
    ):
        return OtherModelSettings.model_validate(value)
    return ModelSettings.model_validate(value)


class MissingSettings(StrictModel):
    """Missing features in training: one rate in [0, 1) per utterance, or (R's way) a new one per position.

    Pattern ``none`` trains on complete data; CIDer, which compares complete with incomplete, refuses it.
    """

    pattern: TrainingPattern = "rmfm"
    rate: Literal["per_utterance", "per_position"] = "per_utterance"

    @model_validator(mode="after")
    def _per_position_is_of_rmfm(self) -> MissingSettings:
        if self.rate == "per_position" and self.pattern != "rmfm":
            raise ValueError(f"rate per_position goes with pattern rmfm, not {self.pattern}")
        return self


class LossSettings(StrictModel):
    """Weights of the distillation losses (paper eq. 30)."""

    alpha_reconstruction: Number = Field(default=0.5, ge=0, le=1000)
    beta_attention: Number = Field(default=0.1, ge=0, le=1000)
    gamma_joint: Number = Field(default=0.5, ge=0, le=1000)


class TrainingSettings(StrictModel):
    """Optimisation (method section 4).

    ``batch_size`` utterances make one step, over all processes; ``gradient_accumulation`` is the number of
    parts that a process cuts its share into when that does not fit into memory. Results are those of the
    whole batch.
    """

    batch_size: WholeNumber = Field(default=128, gt=0, le=65_536)
    gradient_accumulation: WholeNumber = Field(default=1, gt=0, le=65_536)
    max_epochs: WholeNumber = Field(default=200, gt=0, le=100_000)
    patience: WholeNumber = Field(default=10, gt=0, le=100_000)
    learning_rate: Number = Field(default=1e-3, gt=0, le=10)
    encoder_learning_rate: Number = Field(default=5e-5, gt=0, le=10)
    encoder_weight_decay: Number = Field(default=1e-3, ge=0, le=10)
    mixed_precision: MixedPrecision = "auto"
    num_workers: WholeNumber = Field(default=0, ge=0, le=256)


class SelectionSettings(StrictModel):
    """Criterion on the validation fold for when to stop and which epoch to keep: a mean over rates."""

    metric: Literal["loss", Metric] = "loss"
    rates: Rates = (0.0,)


class EvaluationSettings(StrictModel):
    """Settings of ``cider evaluate`` (method section 6).

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
    batch_size: WholeNumber = Field(default=32, gt=0, le=65_536)
    precision: EvaluationPrecision = "float32"
    tau_metric: Metric | None = None
    debiasing: Debiasing = "probability"
    resamples: WholeNumber = Field(default=1000, ge=100, le=100_000)

    @property
    def mask_seed(self) -> int:
        """The first mask seed, where one is enough."""
        return self.mask_seeds[0]
