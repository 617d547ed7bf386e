"""The model card of a run, ``model.json`` and ``tokenizer.json``: all that loading needs besides the weights.

With it a run folder can be moved and used without the store it was trained on and without a model hub.
"""

from __future__ import annotations

import json
from typing import Any, Literal, cast

import torch
from pydantic import ValidationError, model_validator

from cider.model.architecture import Architecture, FeatureShapes
from cider.model.cider import CIDer
from cider.models.backbone_model import SentimentModel
from cider.models.build import build_model
from cider.prediction.expected_input import ExpectedInput
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder
from cider.runs.provenance import tell_other_code
from cider.runs.state import check_file
from cider.scoring.names import Debiasing
from mer_data.errors import MerDataError, RunError
from mer_data.files.strict_model import StrictModel, tell_faults
from mer_data.files.writing import write_json, write_text
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TaskName, get_task
from mer_data.text.encoder import TextEncoder
from mer_data.text.tokenizer import Tokenizer
from mer_data.torch_data.batches import special_tokens
from mer_data.utterances import FRAME_MODALITIES


class SavedArchitecture(Architecture):
    """CIDer in a card, with whether it predicts through the causal head."""

    label_debiasing: bool = True


class SavedBackbone(StrictModel):
    """Another model in a card: its name in `cider.models.registry`, its hyperparameters and its head."""

    name: str
    settings: dict[str, Any]
    label_debiasing: bool


class ModelCard(StrictModel):
    """Description of a trained model and of the input it expects.

    Attributes:
        format: of the file.
        version: of the format.
        task: name of the task.
        architecture: of CIDer; None for another model.
        backbone: which other model; None for CIDer.
        shapes: feature widths and greatest lengths.
        text_encoder: name of the encoder.
        encoder_config: its Hugging Face configuration; its weights are in the run's checkpoint.
        tokenizer: name of the tokenizer, which is ``tokenizer.json``.
        vocabulary_digest: digest of its vocabulary.
        kept_token_ids: counterfactual vocabulary; None where the run has no counterfactual text.
        debiasing: where the counterfactual is subtracted.
        limits: longest rows of "text", "audio" and "vision" that the model may be served.
        columns: names of the feature columns of "audio" and "vision".
        frame_rate_hz: frames per second of "audio" and "vision", where known.
    """

    format: Literal["cider/model"] = "cider/model"
    version: Literal[1] = 1
    task: TaskName
    architecture: SavedArchitecture | None = None
    backbone: SavedBackbone | None = None
    shapes: FeatureShapes
    text_encoder: str
    encoder_config: dict[str, Any]
    tokenizer: str
    vocabulary_digest: str
    kept_token_ids: tuple[int, ...] | None
    debiasing: Debiasing
    limits: dict[str, int]
    columns: dict[str, tuple[str, ...]]
    frame_rate_hz: dict[str, float | None]

    @classmethod
    def from_experiment(cls, experiment: Experiment, model: SentimentModel) -> ModelCard:
        """The card of ``model``, which ``experiment`` built.

        Raises:
            MerDataError: the counterfactual vocabulary is missing or of something else.
        """
        settings, store = experiment.recipe.model, experiment.store
        encoder = cast(TextEncoder, model.text_encoder)
        config = json.loads(encoder.model.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)  # a path on the machine of the training
        head = {"label_debiasing": settings.debiases_label}
        saved: dict[str, Any] = (
            {"architecture": settings.model_dump(include=set(Architecture.model_fields)) | head}
            if isinstance(settings, Architecture)
            else {"backbone": settings.model_dump(mode="json", include={"name", "settings"}) | head}
        )
        kept = experiment.kept_token_ids().tolist() if settings.debiases_language else None
        return cls(
            task=experiment.task.name,
            **saved,
            shapes=experiment.shapes(encoder.width),
            text_encoder=encoder.name,
            encoder_config=config,
            tokenizer=store.tokenizer.name,
            vocabulary_digest=store.tokenizer.vocabulary_digest,
            kept_token_ids=kept,
            debiasing=experiment.recipe.evaluation.debiasing,
            limits=_limits(store, model),
            columns=store.attribute("columns"),
            frame_rate_hz=store.attribute("frame_rate_hz"),
        )

    @model_validator(mode="after")
    def _is_of_one_model(self) -> ModelCard:
        if (self.architecture is None) == (self.backbone is None):
            raise ValueError("either an architecture of CIDer or a backbone is needed")
        return self

    @property
    def alignment(self) -> str:
        """Alignment of the stores that the model reads."""
        return "aligned" if self.shapes.aligned else "unaligned"

    def width(self, modality: str) -> int:
        """Feature columns of "audio" or "vision"."""
        return self.shapes.audio_width if modality == "audio" else self.shapes.vision_width

    def build_model(self, pieces: Tokenizer) -> SentimentModel:
        """The model with weights that mean nothing: load the run's checkpoint into it.

        Raises:
            RunError: the encoder's configuration is of nothing this machine knows.
        """
        from transformers import AutoConfig, AutoModel

        auto: Any = AutoModel  # the library does not type it
        with torch.random.fork_rng(devices=[]):
            try:
                config = AutoConfig.for_model(**self.encoder_config)
                encoder = auto.from_config(config, add_pooling_layer=False)
            except (ValueError, TypeError, KeyError, OSError) as error:
                raise RunError(
                    f"cannot build text encoder {self.text_encoder!r} from model.json ({error})",
                    do="Update transformers, or train again",
                ) from error
            chosen = cast(SavedArchitecture | SavedBackbone, self.architecture or self.backbone)
            return build_model(
                "cider" if self.backbone is None else self.backbone.name,
                chosen if isinstance(chosen, SavedArchitecture) else chosen.settings,
                TextEncoder(self.text_encoder, encoder),
                label_debiasing=chosen.label_debiasing,
                shapes=self.shapes,
                num_classes=get_task(self.task).num_classes,
                special=special_tokens(pieces),
            )

    def check_store(self, store: FeatureStore) -> list[str]:
        """Refuse a store that the model cannot read, and list columns that it did not learn from.

        Returns:
            One line per modality whose columns have other names than those of training.

        Raises:
            StoreError: alignment, feature widths or vocabulary differ.
        """
        return ExpectedInput(
            alignment=self.alignment,
            widths={modality: self.width(modality) for modality in FRAME_MODALITIES},
            columns=self.columns,
            frame_rate_hz=self.frame_rate_hz,
            tokenizer=self.tokenizer,
            vocabulary_digest=self.vocabulary_digest,
        ).check(store)


def save_model_card(run: RunFolder, experiment: Experiment, model: SentimentModel) -> None:
    """Write ``tokenizer.json``, then ``model.json``, into the run folder."""
    card = ModelCard.from_experiment(experiment, model)
    write_text(run.path / "tokenizer.json", experiment.store.tokenizer.to_json())
    write_json(run.path / "model.json", card.model_dump(mode="json"))


def load_model_card(run: RunFolder) -> tuple[ModelCard, Tokenizer]:
    """The card of a run and its tokenizer.

    Raises:
        RunError: missing, damaged, or of a newer version.
    """
    path, tokenizer = run.path / "model.json", run.path / "tokenizer.json"
    again = "Train again, or restore the run folder from a copy"
    for name in ("model.json", "tokenizer.json"):
        check_file(run.path, name)
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
        pieces = Tokenizer.from_json(card.tokenizer, tokenizer.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"the run has no {error.filename}", do=again) from error
    except ValidationError as error:
        wrong = tell_faults(error, lambda _: None)
        raise RunError(f"damaged model card ({wrong})", where=path, do=again) from error
    except (MerDataError, OSError):
        raise
    except Exception as error:  # the tokenizers library knows no narrower class
        raise RunError("damaged tokenizer", where=tokenizer, do=again) from error
    if card.backbone is not None and run.provenance_path.is_file():
        tell_other_code(run.path, card.backbone.name, run.read_provenance())
    if pieces.vocabulary_digest != card.vocabulary_digest:
        raise RunError(
            "the tokenizer is not the one of model.json",
            where=tokenizer,
            found=pieces.vocabulary_digest,
            expected=card.vocabulary_digest,
            do=again,
        )
    return card, pieces


def _limits(store: FeatureStore, model: SentimentModel) -> dict[str, int]:
    """The store's; of a CIDer that fuses frames, the longest that it has positions for."""
    if not (isinstance(model, CIDer) and model.fuses_frames):
        return store.limits
    return {name: min(limit, getattr(model.shapes, f"{name}_length")) for name, limit in store.limits.items()}
