"""Predictions of a fold under a missing pattern: each utterance's mask depends on the utterance alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from cider.experiment import Experiment
from cider.model import CIDer, counterfactual_ids
from mer_data.batches import Batch, Collator, Item, UtteranceDataset
from mer_data.missing import Positions, draw

FACTUAL = "factual"
COUNTERFACTUAL = "counterfactual"


class FoldPredictor:
    """Predicts the utterances of one fold, read once, for any pattern and rate."""

    def __init__(
        self,
        model: CIDer,
        experiment: Experiment,
        fold: str,
        *,
        device: torch.device | str = "cpu",
        batch_size: int = 128,
        kept_token_ids: NDArray[np.int64] | None = None,
    ) -> None:
        """Read the fold.

        Args:
            model: in any mode; predictions are made in evaluation mode.
            experiment: where the utterances come from.
            fold: "train", "valid" or "test".
            device: where the model is.
            batch_size: utterances at a time.
            kept_token_ids: counterfactual vocabulary; None predicts the factual view alone.
        """
        self._model = model
        self._experiment = experiment
        self._device = device
        self._batch_size = batch_size
        self._kept = None if kept_token_ids is None else torch.from_numpy(kept_token_ids).to(device)
        self._collate = Collator(experiment.special.pad)
        rows = experiment.rows[fold]
        dataset = UtteranceDataset(experiment.store, rows)
        self._items = dataset.__getitems__(list(range(len(rows))))
        utterances = experiment.store.utterances.iloc[rows]
        self.ids: list[str] = utterances["id"].tolist()
        self.labels: NDArray[np.float32] = utterances["label"].to_numpy(np.float32)

    def predict(self, pattern: str, rate: float, mask_seed: int) -> dict[str, NDArray[np.float64]]:
        """Class probabilities (N, C) per view, in the order of ``ids``."""
        items = [
            remove_from_item(
                item, pattern, rate, utterance_generator(mask_seed, pattern, rate, name), self._experiment
            )
            for item, name in zip(self._items, self.ids, strict=True)
        ]
        # Alike lengths share a batch; results do not depend on company, so the order is free.
        order = np.argsort([len(item.input_ids) for item in items], kind="stable")
        kept = self._kept
        views = [FACTUAL] if kept is None else [FACTUAL, COUNTERFACTUAL]
        shape = (len(items), self._experiment.task.num_classes)
        results = {view: np.empty(shape, dtype=np.float64) for view in views}
        training = self._model.training
        self._model.eval()
        with torch.inference_mode():
            for start in range(0, len(items), self._batch_size):
                chosen = order[start : start + self._batch_size]
                batch = self._collate([items[index] for index in chosen]).to(self._device)
                results[FACTUAL][chosen] = self._probabilities(batch)
                if kept is not None:
                    special = self._experiment.special
                    ids = counterfactual_ids(batch.input_ids, batch.text_mask, kept, special)
                    results[COUNTERFACTUAL][chosen] = self._probabilities(replace(batch, input_ids=ids))
        self._model.train(training)
        return results

    def _probabilities(self, batch: Batch) -> NDArray[np.float64]:
        probabilities: NDArray[np.float64] = self._model(batch).log_probabilities.double().exp().cpu().numpy()
        return probabilities


def utterance_generator(mask_seed: int, pattern: str, rate: float, name: str) -> torch.Generator:
    """A generator for one utterance's mask, so that masks do not depend on order or company."""
    key = hashlib.sha256(f"{mask_seed}|{pattern}|{rate:.6f}|{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:8], "little") >> 1)


def remove_from_item(
    item: Item, pattern: str, rate: float, generator: torch.Generator, experiment: Experiment
) -> Item:
    """One utterance with pieces as [UNK] and frames as zeros where the pattern removes them."""
    special = experiment.special
    ids = torch.from_numpy(item.input_ids.astype(np.int64))
    positions = Positions(
        text=torch.ones(1, len(ids), dtype=torch.bool),
        special=((ids == special.cls) | (ids == special.sep))[None],
        audio=torch.ones(1, len(item.audio), dtype=torch.bool),
        vision=torch.ones(1, len(item.vision), dtype=torch.bool),
    )
    removed = draw(pattern, positions, torch.tensor([rate]), generator)
    return replace(
        item,
        input_ids=np.where(removed.text[0].numpy(), np.int32(special.unk), item.input_ids),
        audio=np.where(removed.audio[0].numpy()[:, None], np.float32(0), item.audio),
        vision=np.where(removed.vision[0].numpy()[:, None], np.float32(0), item.vision),
    )
