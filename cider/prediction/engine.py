"""Predictions of a fold under a missing pattern: each utterance's mask depends on the utterance alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from cider.debiasing.causal_head import CausalHead, PlainHead
from cider.debiasing.counterfactual_text import counterfactual_batch
from cider.models.backbone_model import SentimentModel
from cider.prediction.masks import Keys, removed, utterance_keys
from cider.prediction.text_cache import TextFeatureCache, ThreadedInference, cached_text_features
from cider.recipe.settings import EvaluationPrecision
from cider.runs.experiment import Experiment
from cider.scoring.conditions import ALIGNED_PATTERNS, Condition, condition_of
from cider.scoring.prediction_frame import (
    COUNTERFACTUAL,
    EVALUATED_MEANS,
    FACTUAL,
    NO_MEANS,
    TRAINING_MEANS,
    View,
)
from mer_data.errors import RunError
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.torch_data.batches import Batch, Collator, Item, UtteranceDataset
from mer_data.torch_data.missing import ValidMask, apply

Heads = Mapping[str, CausalHead | None]
T = TypeVar("T")
Rows = NDArray[np.int64]
_PIECE = 1024
"""Utterances whose text features are in memory at once."""


class FoldPredictor:
    """Predicts the utterances of one fold, read once, for any pattern and rate."""

    def __init__(
        self,
        model: SentimentModel,
        experiment: Experiment,
        fold: str,
        *,
        device: torch.device | str = "cpu",
        batch_size: int | None = None,
        kept_token_ids: NDArray[np.int64] | None = None,
        precision: EvaluationPrecision | None = None,
    ) -> None:
        """Read the fold.

        Args:
            model: in any mode; predictions are made in evaluation mode.
            experiment: where the utterances come from.
            fold: "train", "valid" or "test".
            device: where the model is.
            batch_size: utterances at a time; None: the recipe's for evaluation.
            kept_token_ids: counterfactual vocabulary; None predicts the factual view alone.
            precision: bf16 computes in bfloat16 what torch's autocast does; None: the recipe's.
        """
        self._model = model
        self._experiment = experiment
        self._device = device
        settings = experiment.recipe.evaluation
        self._run = ThreadedInference(device, bf16=(precision or settings.precision) == "bf16")
        self._kept = None if kept_token_ids is None else torch.from_numpy(kept_token_ids)
        rows = experiment.rows[fold]
        dataset = UtteranceDataset(experiment.store, rows)
        items = dataset.__getitems__(list(range(len(rows))))
        utterances = experiment.store.utterances.iloc[rows]
        self.ids: list[str] = utterances["id"].tolist()
        self.videos: list[str] = utterances["video_id"].tolist()
        self.labels: NDArray[np.float32] = utterances["label"].to_numpy(np.float32)
        self._pieces = _pieces(items, batch_size or settings.batch_size, experiment.special.pad)

    def predict(self, pattern: str, rate: float, mask_seed: int) -> dict[str, NDArray[np.float64]]:
        """Class probabilities (N, C) per text view, in the order of ``ids``, with the means of training.

        Raises:
            MerDataError: an unknown pattern or rate, or a pattern that does not fit the data.
        """
        views = self.predict_condition(condition_of(pattern, rate, mask_seed))
        return {text: probabilities for (text, _), probabilities in views.items()}

    def predict_condition(
        self,
        condition: Condition,
        *,
        texts: TextFeatureCache | None = None,
        evaluated: ClassStatistics | None = None,
    ) -> dict[View, NDArray[np.float64]]:
        """Class probabilities (N, C) per view, in the order of ``ids``.

        Args:
            condition: the state of the input.
            texts: text features to share with other conditions; None shares those of this call alone.
            evaluated: class statistics of the evaluated split; where they are given, and the model has a
                causal head, it answers a second time with their means.

        Raises:
            RunError: the pattern does not fit the data.
        """
        heads = _heads(self._model.head, evaluated)
        shape = (len(self.ids), self._experiment.task.num_classes)
        results = {(text, means): np.empty(shape) for text in self._text_views for means in heads}
        for rows, text, answer in self._ask(condition, texts, lambda batch: self._answer(batch, heads)):
            for means, probabilities in answer.items():
                results[text, means][rows] = probabilities
        return results

    def joint_condition(
        self, condition: Condition, *, texts: TextFeatureCache | None = None
    ) -> NDArray[np.float64]:
        """Joint representations h_m (N, 3d) of the texts as they are, in the order of ``ids``.

        Arguments and errors are those of ``predict_condition``.
        """

        def joint(batch: Batch) -> NDArray[np.float64]:
            found: NDArray[np.float64] = self._model(batch.to(self._device)).joint.double().cpu().numpy()
            return found

        answers = [one for one in self._ask(condition, texts, joint) if one[1] == FACTUAL]
        order = np.argsort(np.concatenate([rows for rows, *_ in answers]))
        return np.concatenate([found for *_, found in answers])[order]

    def _ask(
        self, condition: Condition, texts: TextFeatureCache | None, answer: Callable[[Batch], T]
    ) -> list[tuple[Rows, str, T]]:
        """Rows of every batch, its text view, and what ``answer`` finds with the model in evaluation mode."""
        check_alignment(condition.pattern, self._experiment)
        model, training = self._model, self._model.training
        keys = utterance_keys(self.ids, condition.pattern, condition.mask_seed)
        texts = texts or TextFeatureCache(model.text_encoder, pad_id=self._experiment.special.pad)
        texts.next_condition()
        found = []
        model.eval()
        try:
            for piece in self._pieces:
                inputs = [
                    (rows, text, batch)
                    for rows, complete in piece
                    for text, batch in self._views(complete, condition, keys[rows])
                ]
                texts.encode(
                    [text for *_, batch in inputs for text in _texts(batch)], self._run, self._device
                )
                with cached_text_features(model, texts):
                    answers = self._run(lambda one: answer(one[2]), inputs)
                found += [(rows, text, one) for (rows, text, _), one in zip(inputs, answers, strict=True)]
        finally:
            model.train(training)
        return found

    @property
    def _text_views(self) -> tuple[str, ...]:
        return (FACTUAL,) if self._kept is None else (FACTUAL, COUNTERFACTUAL)

    def _views(self, complete: Batch, condition: Condition, keys: Keys) -> Iterator[tuple[str, Batch]]:
        """Yield what the model reads in a condition, for each text view."""
        special = self._experiment.special
        batch = apply(complete, removed(condition, ValidMask.from_batch(complete, special), keys), special)
        yield FACTUAL, batch
        if self._kept is not None:
            yield COUNTERFACTUAL, counterfactual_batch(batch, self._kept, special)

    def _answer(self, batch: Batch, heads: Heads) -> dict[str, NDArray[np.float64]]:
        """Probabilities (B, C) for the means of every head; the joint representation is computed once."""
        output = self._model(batch.to(self._device))
        logs = {
            means: output.log_probabilities if head is None else head(output.joint, intervention="test")
            for means, head in heads.items()
        }
        return {means: log.double().exp().cpu().numpy() for means, log in logs.items()}


def check_alignment(pattern: str, experiment: Experiment) -> None:
    """Raise a RunError for a pattern over time on unaligned data."""
    if pattern in ALIGNED_PATTERNS and experiment.store.alignment != "aligned":
        raise RunError(
            f"the missing pattern {pattern} needs aligned data",
            where=experiment.store.path,
            found=experiment.store.alignment,
            do="Evaluate a run that was trained on an aligned store, or take rmfm, rmfm_same, rmm or smm",
        )


def _pieces(items: Sequence[Item], batch_size: int, pad_id: int) -> list[list[tuple[Rows, Batch]]]:
    """Batches with their rows among ``items``, some at a time; utterances of similar length share a batch.

    Results do not depend on company, so the order is free.
    """
    collate = Collator(pad_id)
    pieces = length_grouped_pieces([len(item.input_ids) for item in items], batch_size, at_once=_PIECE)
    return [[(rows, collate([items[row] for row in rows])) for rows in piece] for piece in pieces]


def length_grouped_pieces(
    lengths: Sequence[int] | Rows, batch_size: int, *, at_once: int
) -> list[list[Rows]]:
    """Return positions in batches of similar length, and the batches in pieces.

    Args:
        lengths: of the N texts.
        batch_size: texts of a batch.
        at_once: texts of a piece, at most; a batch is never cut.
    """
    order = np.argsort(lengths, kind="stable")
    groups = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    per_piece = max(1, at_once // batch_size)
    return [groups[start : start + per_piece] for start in range(0, len(groups), per_piece)]


def best_device() -> str:
    """Return "cuda" where there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _texts(batch: Batch) -> Iterator[NDArray[np.int64]]:
    """The texts of a batch (T_l,), without padding."""
    lengths = batch.text_mask.sum(dim=1).tolist()
    return (row[:length] for row, length in zip(batch.input_ids.numpy(), lengths, strict=True))


def _heads(head: CausalHead | PlainHead, evaluated: ClassStatistics | None) -> Heads:
    """Heads by the means they take; None is the model's own."""
    if not isinstance(head, CausalHead):
        return {NO_MEANS: None}
    if evaluated is None:
        return {TRAINING_MEANS: None}
    other = copy.deepcopy(head)
    other.use(evaluated)
    return {TRAINING_MEANS: None, EVALUATED_MEANS: other}
