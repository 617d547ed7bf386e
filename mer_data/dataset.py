"""A corpus with one of its splits, as Python code uses it: utterances by id, batches by fold.

``mer_data.load`` opens it. Torch is loaded when the first batch is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SplitError
from mer_data.splits.inputs import choose_inputs
from mer_data.splits.manifest import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.utterances import FOLDS, NO_FOLD

if TYPE_CHECKING:
    from mer_data.torch_data.batches import Batch, UtteranceDataset

_TEXT_SHOWN = 60


@dataclass(frozen=True)
class Missing:
    """A missing pattern at a rate, for `CorpusSplit.loader`.

    Attributes:
        pattern: "rmfm", "rmfm_same", "rmm", "tmfm" or "stmfm".
        rate: share that is lost, in [0, 1]; None draws one for every utterance, as training does.
    """

    pattern: str
    rate: float | None = None


@dataclass(frozen=True, repr=False)
class Utterance:
    """One utterance, with all its words and frames.

    Attributes:
        id: ``video$_$segment``.
        label: sentiment in [-3, 3].
        text: its transcript.
        fold: of the split; "none" where the split leaves it out.
        words: timestamped words (dtype ``WORD_DTYPE``); empty where the source had none.
        input_ids: word pieces (T_l,), special tokens included.
        audio: frames (T_a, d_a); (0, 0) in a store without audio.
        vision: frames (T_v, d_v); (0, 0) in a store without vision.
    """

    id: str
    label: float
    text: str
    fold: str
    words: NDArray[Any]
    input_ids: NDArray[np.int32]
    audio: NDArray[np.float32]
    vision: NDArray[np.float32]

    def __repr__(self) -> str:
        """One line: id, label, fold, text and shapes."""
        text = self.text if len(self.text) <= _TEXT_SHOWN else f"{self.text[:_TEXT_SHOWN]}..."
        return (
            f"Utterance({self.id!r}, label={self.label:+.1f}, fold={self.fold!r}, text={text!r},"
            f" audio={self.audio.shape}, vision={self.vision.shape})"
        )


class CorpusSplit:
    """A store and one split of it.

    Attributes:
        store: features, read lazily.
        split: which utterances are in which fold.
        task: name of the task of the split: "binary" or "seven".
    """

    def __init__(self, store: FeatureStore, split: SplitManifest, task: str) -> None:
        """Use ``mer_data.load``, which checks that store and split belong together."""
        self.store, self.split, self.task = store, split, task

    @cached_property
    def rows(self) -> dict[str, NDArray[np.int64]]:
        """Store rows of every fold."""
        return self.split.indices(self.store.utterances["id"])

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.store.utterances["id"])}

    @cached_property
    def _fold_of(self) -> dict[int, str]:
        return {int(row): fold for fold, rows in self.rows.items() for row in rows}

    def __len__(self) -> int:
        """Return the number of utterances in the store."""
        return len(self.store)

    def __iter__(self) -> Iterator[Utterance]:
        """Give every utterance of the store, in its order."""
        return (self[row] for row in range(len(self)))

    def __contains__(self, name: object) -> bool:
        """Return whether the store has an utterance of that id."""
        return name in self._row_of

    @overload
    def __getitem__(self, key: str | int) -> Utterance: ...
    @overload
    def __getitem__(self, key: slice) -> list[Utterance]: ...
    def __getitem__(self, key: str | int | slice) -> Utterance | list[Utterance]:
        """Read an utterance by id or row, or several by a slice of rows.

        Raises:
            KeyError: no utterance of that id.
            IndexError: no such row.
        """
        if isinstance(key, slice):
            return [self._read(row) for row in range(*key.indices(len(self)))]
        if isinstance(key, str):
            if key not in self._row_of:
                raise KeyError(f"no utterance {key!r} in {self.store.path}")
            return self._read(self._row_of[key])
        row = key + len(self) if key < 0 else key
        if not 0 <= row < len(self):
            raise IndexError(f"row {key} is out of bounds of {len(self)} utterances")
        return self._read(row)

    def _read(self, row: int) -> Utterance:
        found, rows = self.store.utterances.iloc[row], self.store.read([row])
        nothing = np.zeros((0, 0), dtype=np.float32)
        frames = {name: stream[0] for name, stream in rows.streams.items()}
        return Utterance(
            id=str(found["id"]),
            label=float(found["label"]),
            text=str(found["text"]),
            fold=self._fold_of.get(row, NO_FOLD),
            words=self.store.words(row),
            input_ids=rows.token_ids[0],
            audio=frames.get("audio", nothing),
            vision=frames.get("vision", nothing),
        )

    def dataset(self, fold: str) -> UtteranceDataset:
        """Return a PyTorch dataset of a fold; ``collate`` makes batches of its items.

        Raises:
            SplitError: no such fold.
        """
        from mer_data.torch_data.batches import UtteranceDataset

        return UtteranceDataset(self.store, self._rows_of(fold))

    @property
    def collate(self) -> Any:
        """What a plain ``torch.utils.data.DataLoader`` takes as ``collate_fn``: items to a `Batch`."""
        from mer_data.torch_data.batches import Collator, special_tokens

        return Collator(special_tokens(self.store.tokenizer).pad)

    def loader(
        self,
        fold: str,
        *,
        batch_size: int = 32,
        missing: Missing | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> Iterator[Batch]:
        """Give the batches of one epoch over a fold.

        Args:
            fold: "train", "valid" or "test".
            batch_size: utterances in a batch.
            missing: what the batches lose; None: nothing.
            seed: of the order and of what is lost; None keeps the order of the store, and draws what is lost
                from seed 0.
            num_workers: processes that read.

        Raises:
            SplitError: no such fold.
            MerDataError: an unknown pattern, a rate outside [0, 1], or a pattern that needs an aligned store.
        """
        import torch

        from mer_data.torch_data.batches import make_loader, special_tokens
        from mer_data.torch_data.missing import ValidMask, apply, draw, random_rates

        rows = self._rows_of(fold)
        order, masks = (torch.Generator().manual_seed(seed or 0) for _ in range(2))
        batches = make_loader(
            self.store,
            rows,
            batch_size=batch_size,
            shuffle_generator=None if seed is None else order,
            num_workers=num_workers,
        )
        special = special_tokens(self.store.tokenizer)
        for batch in batches:
            if missing is None:
                yield batch
                continue
            if missing.rate is None:
                rates = random_rates(len(batch), masks, "cpu")
            else:
                rates = torch.full((len(batch),), float(missing.rate))
            lost = draw(missing.pattern, ValidMask.from_batch(batch, special), rates, masks)
            yield apply(batch, lost, special)

    def _rows_of(self, fold: str) -> NDArray[np.int64]:
        if fold not in self.rows:
            raise SplitError("no such fold", found=repr(fold), expected=" or ".join(FOLDS))
        return self.rows[fold]

    def __repr__(self) -> str:
        """Corpus, alignment, task, and the sizes of the folds."""
        sizes = ", ".join(f"{fold} {len(rows)}" for fold, rows in self.rows.items())
        store = self.store
        return (
            f"CorpusSplit({store.dataset}, {store.alignment}, {self.split.kind} split, {self.task}: {sizes})"
        )

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        store = self.store
        facts = {
            "corpus": f"{store.dataset}, {store.alignment}, {len(store)} utterances",
            "split": f"{self.split.kind}, {self.split.digest}",
            "task": self.task,
            **{fold: f"{len(rows)} utterances" for fold, rows in self.rows.items()},
            **{name: f"{store.width(name)} columns" for name in store.modalities},
        }
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
        return f"<table>{''.join(rows)}</table>"


def load(
    dataset: str | None = None,
    *,
    split: str | Path | None = None,
    alignment: str | Path | None = None,
    task: str | None = None,
) -> CorpusSplit:
    """Open a corpus of the workspace with one of its splits.

    Args:
        dataset: name; None takes the only one in the workspace.
        split: name or path of a manifest; None takes the only one.
        alignment: name or path of a store; None takes the only one.
        task: "binary" or "seven"; None takes the split's, or binary where it is for any.

    Raises:
        MerDataError: something is missing (the message names the command that makes it), there are several,
        or
            store and split do not belong together.
    """
    store_name, split_name = (None if one is None else str(one) for one in (alignment, split))
    inputs = choose_inputs(dataset, store_name, split_name, task)
    return CorpusSplit(inputs.store, inputs.split, inputs.task.name)
