"""A recipe met with the workspace: the store, the split and the model that it names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from cider.debiasing.causal_head import CausalHead
from cider.model.architecture import FeatureShapes
from cider.models.backbone_model import SentimentModel
from cider.models.build import build_model
from cider.models.plug_in import MaciInputs
from cider.recipe.schema import Recipe
from cider.recipe.settings import ModelSettings
from cider.runs.inputs import Kind, RunInputs, SplitInput, statistics_input, vocabulary_input
from mer_data.errors import RecipeError, SplitError
from mer_data.progress import Progress, Tell
from mer_data.splits import SplitManifest
from mer_data.statistics.class_statistics import ClassStatistics, class_statistics, statistics_origin
from mer_data.statistics.vocabulary import counterfactual_vocabulary, load_kept_tokens, vocabulary_origin
from mer_data.store.choose import choose_store
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task, get_task
from mer_data.text.encoder import TextEncoder, load_text_encoder
from mer_data.torch_data.batches import SpecialTokens, special_tokens
from mer_data.workspace import Workspace


@dataclass
class Experiment:
    """Inputs of training and evaluation.

    Attributes:
        recipe: the resolved recipe.
        store: features.
        split_path: where the split manifest is.
        split: which utterances are in which fold.
        task: how labels become classes.
        rows: store rows per fold.
        inputs: of a run that was trained before, what it was trained on; None: whatever the recipe names.
        special: ids of the special tokens.
    """

    recipe: Recipe
    store: FeatureStore
    split_path: Path
    split: SplitManifest
    task: Task
    rows: dict[str, NDArray[np.int64]]
    inputs: RunInputs | None = None
    special: SpecialTokens = field(init=False)

    def __post_init__(self) -> None:
        """Look up the special tokens."""
        self.special = special_tokens(self.store.tokenizer)

    @classmethod
    def open(cls, recipe: Recipe, *, option: str = "--set data.{}=NAME") -> Experiment:
        """Find the store and the split that ``recipe`` names and check that they fit.

        Args:
            recipe: of training. Where it names no split, that of the experiment names the only one there is.
            option: how a person chooses another "alignment" or "split", for messages.

        Raises:
            MerDataError: something is missing (the message names the command that makes it) or does not fit.
        """
        workspace = Workspace(recipe.data.dataset)
        store = choose_store(workspace, recipe.data.alignment, option=option.format("alignment"))
        split_path = workspace.choose_split(recipe.data.split, option=option.format("split"))
        data = recipe.data.model_copy(update={"split": recipe.data.split or split_path.stem})
        return cls.from_files(recipe.model_copy(update={"data": data}), store, split_path, option=option)

    @classmethod
    def of_run(cls, recipe: Recipe, inputs: RunInputs) -> Experiment:
        """The experiment of a run that was trained before: its store and split by their digests.

        Raises:
            MerDataError: an input is gone or has changed.
        """
        store = FeatureStore.open(inputs.store_path(recipe))
        return replace(cls.from_files(recipe, store, inputs.split_path(recipe)), inputs=inputs)

    @classmethod
    def from_files(
        cls, recipe: Recipe, store: FeatureStore, split_path: Path, *, option: str = "--set data.{}=NAME"
    ) -> Experiment:
        """A recipe with a store and a split, checked to fit.

        Raises:
            MerDataError: they do not.
        """
        split = SplitManifest.load(split_path)
        ids = store.utterances["id"]
        split.check_store(store.utterance_digest, ids, store.path)
        task = get_task(recipe.task)
        if split.task not in (task.name, "any"):
            raise SplitError(
                "the split is for another task", where=split_path, found=split.task, expected=task.name,
                do=f"Choose another with {option.format('split')}",
            )  # fmt: skip
        for pattern in (recipe.missing.pattern, recipe.evaluation.pattern):
            if store.alignment != "aligned" and pattern in ("tmfm", "stmfm"):
                raise RecipeError(f"pattern {pattern!r} needs an aligned store", found=store.alignment)
        model = recipe.model
        if store.alignment == "aligned" and isinstance(model, ModelSettings) and not model.word_alignment:
            raise RecipeError(
                "model.word_alignment false needs an unaligned store: aligned data have none to leave out",
                found=store.alignment,
                do="Set data.alignment=unaligned, or leave model.word_alignment out",
            )
        return cls(recipe, store, split_path, split, task, split.indices(ids))

    def shapes(self, text_width: int) -> FeatureShapes:
        """Feature sizes and longest rows; the reconstruction heads are no longer than the store's rows."""
        limits, aligned = self.store.limits, self.store.alignment == "aligned"
        lengths = {
            modality: max(1, min(limits[modality], int(self.store.lengths(modality).max(initial=1))))
            for modality in ("audio", "vision")
        }
        return FeatureShapes(
            text_width=text_width,
            audio_width=self.store.width("audio"),
            vision_width=self.store.width("vision"),
            text_length=limits["text"],
            audio_length=limits["text"] if aligned else lengths["audio"],
            vision_length=limits["text"] if aligned else lengths["vision"],
            aligned=aligned,
        )

    def build_model(self) -> SentimentModel:
        """Build the model of the recipe with fresh weights, seeded by the recipe; no statistics yet."""
        model = self.recipe.model
        encoder = load_text_encoder(model.text_encoder, self.store.tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            return build_model(
                model.name,
                model if isinstance(model, ModelSettings) else model.settings,
                encoder,
                label_debiasing=model.debiases_label,
                shapes=self.shapes(encoder.width),
                num_classes=self.task.num_classes,
                special=self.special,
            )

    def starting_model(self) -> SentimentModel:
        """Build the model that training begins with, with its class statistics.

        Raises:
            MerDataError: statistics or vocabulary are missing, or of something else.
        """
        model = self.build_model()
        if isinstance(model.head, CausalHead):
            model.head.use(self.class_statistics(cast(TextEncoder, model.text_encoder)))
            if self.recipe.model.classifier_start == "equal":
                model.head.equalise_classifiers()
        if self.recipe.model.debiases_language:
            self.kept_token_ids()  # evaluation needs it; a lack is better found now than after hours
        return model

    def class_statistics(self, encoder: TextEncoder) -> ClassStatistics:
        """The class statistics of exactly this store, split, task and text encoder; of a run, its own."""
        source = statistics_input(self.recipe, self.store.path, self.split_path)
        path = self._read_path("statistics", source)
        statistics = ClassStatistics.load(path, command=source.command)
        statistics.check(statistics_origin(self.store, self.split, encoder), self.task, path)
        return statistics

    def kept_token_ids(self) -> NDArray[np.int64]:
        """Ids of the counterfactual vocabulary of exactly this corpus, split and task; of a run, its own."""
        source = vocabulary_input(self.recipe, self.store.path, self.split_path)
        origin = vocabulary_origin(self.store, self.split)
        path = self._read_path("vocabulary", source)
        return load_kept_tokens(path, origin, self.task, command=source.command)

    def make_missing_inputs(self, tell: Tell, *, progress: Progress | None = None) -> None:
        """Write what ``mer-data statistics`` and ``mer-data counterfactual-vocab`` would, as far as needed.

        Files that are there stay as they are; whether they fit is checked when they are read.

        Args:
            tell: called with a line about every file that is made.
            progress: of the statistics, called with utterances done and in total.

        Raises:
            StatisticsError: the training fold is empty.
        """
        store, split, task = self.store, self.split, self.task
        statistics = statistics_input(self.recipe, store.path, self.split_path)
        if statistics.is_missing:
            tell(f"Class statistics are not there: computing {statistics.save_path}.")
            encoder = load_text_encoder(self.recipe.model.text_encoder, store.tokenizer)
            class_statistics(store, split, task, encoder, progress=progress).save(statistics.save_path)
        vocabulary = vocabulary_input(self.recipe, store.path, self.split_path)
        if vocabulary.is_missing:
            tell(f"The counterfactual vocabulary is not there: counting {vocabulary.save_path}.")
            counterfactual_vocabulary(store, split, task).save(vocabulary.save_path)

    def maci_inputs(self) -> MaciInputs:
        """Return what `cider.models.plug_in.with_maci` needs, as far as ``model.maci`` asks for it.

        Raises:
            MerDataError: statistics or vocabulary are missing, or of another store, split, task or encoder.
        """
        settings, statistics, kept = self.recipe.model, None, None
        if settings.debiases_label:
            statistics = self.class_statistics(load_text_encoder(settings.text_encoder, self.store.tokenizer))
        if settings.debiases_language:
            kept = torch.from_numpy(self.kept_token_ids())
        return MaciInputs(self.task.num_classes, statistics, kept, self.special)

    def input_paths(self) -> dict[Kind, Path | None]:
        """Return the paths of all inputs; None for those that the model does not read."""
        statistics = statistics_input(self.recipe, self.store.path, self.split_path)
        vocabulary = vocabulary_input(self.recipe, self.store.path, self.split_path)
        return {
            "store": self.store.path,
            "split": self.split_path,
            "statistics": self._read_path("statistics", statistics) if statistics.needed else None,
            "vocabulary": self._read_path("vocabulary", vocabulary) if vocabulary.needed else None,
        }

    def _read_path(self, kind: Literal["statistics", "vocabulary"], source: SplitInput) -> Path:
        return source.read_path if self.inputs is None else self.inputs.split_input(kind, source)
