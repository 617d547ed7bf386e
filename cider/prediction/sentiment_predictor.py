"""``SentimentPredictor``: a trained run as a function from utterances or texts to class scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from cider.debiasing.counterfactual_text import counterfactual_batch
from cider.models.backbone_model import SentimentModel
from cider.prediction.chosen_tau import Tau, given_tau, tau_of_run
from cider.prediction.engine import best_device, length_grouped_pieces
from cider.prediction.items import checked_texts, text_item
from cider.prediction.model_card import ModelCard, load_model_card
from cider.prediction.predictions import Predictions
from cider.prediction.text_cache import ThreadedInference
from cider.runs.folder import RunFolder, open_run
from cider.runs.state import require_run
from cider.scoring.prediction_frame import COUNTERFACTUAL, FACTUAL
from cider.scoring.subtraction import debiased
from mer_data.errors import MerDataError, RunError, StoreError
from mer_data.progress import Progress
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task
from mer_data.text.tokenizer import Tokenizer
from mer_data.torch_data.batches import Batch, Collator, Item, UtteranceDataset, special_tokens

Features = Sequence[ArrayLike | None]
_PIECE = 512
"""Utterances in memory at once."""


class SentimentPredictor:
    """Class scores of utterances, with and without counterfactual debiasing.

    A prediction depends on its utterance alone, not on the others it is asked for with.

    Attributes:
        model: the trained model, in evaluation mode.
        card: what it is, and what it may be given.
        tau: debiasing strength; assign another `Tau` to change it.
        classes: class names, in the order of the scores.
    """

    def __init__(
        self,
        model: SentimentModel,
        card: ModelCard,
        pieces: Tokenizer,
        tau: Tau,
        *,
        device: torch.device | str = "cpu",
        batch_size: int = 32,
    ) -> None:
        """Use ``load``.

        Args:
            model: with its weights.
            card: of that model.
            pieces: its tokenizer.
            tau: debiasing strength.
            device: where to compute.
            batch_size: utterances at a time.
        """
        self.model = model.to(device).eval()
        self.card = card
        self.tau = tau
        self.classes = get_task(card.task).classes
        self._pieces = pieces
        self._device = device
        self._batch_size = batch_size
        self._run = ThreadedInference(device)
        self._special = special_tokens(pieces)
        self._collate = Collator(self._special.pad)
        kept = card.kept_token_ids
        self._kept = None if kept is None else torch.tensor(kept, dtype=torch.int64)

    @classmethod
    def load(
        cls,
        run: str | Path,
        *,
        tau: float | None = None,
        device: torch.device | str | None = None,
        batch_size: int = 32,
        progress: Progress | None = None,
    ) -> SentimentPredictor:
        """Load a trained run.

        Args:
            run: its folder. The store it was trained on is not needed, unless the run was made before runs
                had a ``model.json``.
            tau: debiasing strength. None takes the one that validation chose in the run's own evaluation,
                or lets validation choose now, which predicts that fold at every missing rate, or takes 0
                where neither is possible; ``tau.source`` tells which.
            device: where to compute; None takes a GPU if there is one.
            batch_size: utterances at a time.
            progress: called with the missing rates done and in total while validation chooses tau.

        Raises:
            RunError: no run, a damaged one, or a tau where the run has no counterfactual text.
        """
        folder, place = RunFolder(Path(run)), device or best_device()
        card, pieces = _card_of(folder)
        model = card.build_model(pieces)
        folder.load_weights(model)
        model.to(place)
        kept = card.kept_token_ids
        if kept is None:
            if tau:
                raise RunError(
                    "the run has no counterfactual text to debias with", where=folder.path, do="Leave out tau"
                )
            strength = Tau(0.0, "the run has no counterfactual text")
        elif tau is not None:
            strength = given_tau(tau)
        else:
            strength = tau_of_run(folder, model, kept, device=place, progress=progress)
        return cls(model, card, pieces, strength, device=place, batch_size=batch_size)

    def predict(
        self,
        store: FeatureStore | str | Path,
        ids: Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict utterances of a store: the one of training, or any with its columns and vocabulary.

        Args:
            store: an open store or its path. Rows longer than those of training are cut, as training does.
            ids: which utterances, in which order; None takes all, in the order of the store.
            progress: called with the utterances done and in total.

        Raises:
            StoreError: the store does not fit the model, or lacks an id.
        """
        opened = store if isinstance(store, FeatureStore) else FeatureStore.open(store)
        notes = self.card.check_store(opened)
        opened = opened.limited(self.card.limits)
        rows = _rows_of(opened, ids)
        dataset = UtteranceDataset(opened, rows)
        lengths = opened.lengths("tokens")[rows]

        def read(chosen: NDArray[np.int64]) -> list[Item]:
            return dataset.__getitems__(chosen.tolist())

        names = opened.utterances["id"].iloc[rows].tolist()
        return self._predict(names, lengths, read, notes, progress)

    def predict_texts(
        self,
        texts: Sequence[str],
        audio: Features | None = None,
        vision: Features | None = None,
        *,
        ids: Sequence[str] | None = None,
    ) -> Predictions:
        """Predict raw texts, with frames where there are some.

        A missing modality is what it is in training: frames of zeros (alignment gives any number of them the
        same weight, so one stands for all). Texts are split as the store's were.

        Args:
            texts: N texts.
            audio: for each text its frames (T_a, d_a), or None where there are none; None: none anywhere. An
                aligned model takes one frame per word piece, special tokens included. Frames that are not
                finite count as 0, as in a store.
            vision: the same, (T_v, d_v).
            ids: names in the result; None: "0", "1", ...

        Raises:
            MerDataError: something else than texts, arguments that differ in length, or a feature array of
                another shape.
        """
        texts = checked_texts(texts)
        given = {"audio": audio, "vision": vision}
        for name, values in {**given, "ids": ids}.items():
            if values is not None and len(values) != len(texts):
                raise MerDataError(
                    f"{name} and texts differ in number", found=len(values), expected=len(texts)
                )
        pieces = [self._pieces.encode(text)[0] for text in texts]
        items = [
            text_item(
                self.card, row, {k: None if rows is None else rows[at] for k, rows in given.items()}, at
            )
            for at, row in enumerate(pieces)
        ]
        return self._predict(
            [str(at) for at in range(len(texts))] if ids is None else list(ids),
            np.array([len(row) for row in pieces], dtype=np.int64),
            lambda chosen: [items[at] for at in chosen],
            [note for name, rows in given.items() if (note := _missing(name, rows, len(texts)))],
            None,
        )

    def _answer(self, batch: Batch) -> dict[str, NDArray[np.float64]]:
        """Class probabilities (B, C) of the texts as they are, and of the counterfactual ones."""
        views = {FACTUAL: batch}
        if self._kept is not None:
            views[COUNTERFACTUAL] = counterfactual_batch(batch, self._kept, self._special)
        return {
            view: self.model(one.to(self._device)).log_probabilities.double().exp().cpu().numpy()
            for view, one in views.items()
        }

    def _predict(
        self,
        ids: list[str],
        lengths: NDArray[np.int64],
        read: Callable[[NDArray[np.int64]], list[Item]],
        notes: list[str],
        progress: Progress | None,
    ) -> Predictions:
        """Predict N utterances, in batches of similar text length.

        Args:
            ids: of the utterances.
            lengths: their word pieces (N,), before they are cut.
            read: gives the utterances at some positions.
            notes: what to keep in mind.
            progress: called with the utterances done and in total.
        """
        limit = self.card.limits["text"]
        if (lengths > limit).any():
            notes = [*notes, f"{(lengths > limit).sum()} texts were cut to {limit} word pieces"]
        views = [FACTUAL] if self._kept is None else [FACTUAL, COUNTERFACTUAL]
        tables = {view: np.empty((len(ids), len(self.classes)), dtype=np.float64) for view in views}
        self.model.eval()
        done = 0
        for piece in length_grouped_pieces(lengths, self._batch_size, at_once=_PIECE):
            answers = self._run(self._answer, [self._collate(read(chosen)) for chosen in piece])
            for chosen, answer in zip(piece, answers, strict=True):
                for view, probabilities in answer.items():
                    tables[view][chosen] = probabilities
            done += sum(map(len, piece))
            if progress is not None:
                progress(done, len(lengths))
        factual, counterfactual = tables[FACTUAL], tables.get(COUNTERFACTUAL)
        final: Any = factual
        if counterfactual is not None:
            final = debiased(factual, counterfactual, self.tau.value, self.card.debiasing)
        return Predictions(tuple(ids), self.classes, factual, counterfactual, final, self.tau, tuple(notes))


def _missing(modality: str, rows: Features | None, num_texts: int) -> str | None:
    """A note where a modality is missing."""
    count = num_texts if rows is None else sum(row is None for row in rows)
    return f"{modality} is missing in {count} of {num_texts} texts" if count else None


def _card_of(run: RunFolder) -> tuple[ModelCard, Tokenizer]:
    """The card of a run; one that was made before runs had it is opened with its store."""
    run.warn_unfinished()
    if (run.path / "model.json").is_file():
        return load_model_card(run)
    require_run(run.path)
    try:
        _, experiment = open_run(run.path)
    except MerDataError as error:
        raise RunError(
            f"the run has no model.json, and the store it was trained on cannot be opened: {error}"
        ) from error
    return ModelCard.from_experiment(experiment, experiment.build_model()), experiment.store.tokenizer


def _rows_of(store: FeatureStore, ids: Sequence[str] | None) -> NDArray[np.int64]:
    """Rows of the utterances called ``ids``."""
    if ids is None:
        return np.arange(len(store), dtype=np.int64)
    if isinstance(ids, str):
        raise MerDataError("one id in place of a list", do="Pass [id]")
    known = {name: row for row, name in enumerate(store.utterances["id"])}
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise StoreError(
            f"{len(unknown)} of {len(ids)} ids are not in the store, such as {unknown[0]}", where=store.path
        )
    return np.array([known[name] for name in ids], dtype=np.int64)
