"""What the cards of an export state, counted once: folds, classes, features, cleaning, digests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mer_data.export.corpus import Corpus, corpus_of
from mer_data.export.rows import fold_rows
from mer_data.inspect.summary import Summary, summarise_store
from mer_data.reports.fold_facts import FoldFacts
from mer_data.reports.inputs import shift_task
from mer_data.splits import SplitManifest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import Task
from mer_data.utterances import DroppedUtterance


@dataclass(frozen=True)
class Facts:
    """A store, divided by a split, as its cards describe it.

    Attributes:
        corpus: terms and citation.
        store_name: stem of the store's file.
        split_name: name of the split.
        split: the manifest.
        store: the store at a glance (``mer_data.inspect.summary.summarise_store``).
        columns: names of the feature columns of "audio" and "vision".
        folds: train, valid, test.
    """

    corpus: Corpus
    store_name: str
    split_name: str
    split: SplitManifest
    store: Summary
    columns: dict[str, list[str]]
    folds: tuple[FoldFacts, ...]

    @property
    def num_utterances(self) -> int:
        """Utterances in any fold."""
        return sum(fold.num_utterances for fold in self.folds)

    @property
    def shift_task(self) -> Task:
        """The task whose classes the shift was measured with."""
        return shift_task(self.split)

    def frames(self, modality: str) -> str:
        """What a frame of "audio" or "vision" stands for."""
        if self.store["alignment"] == "aligned":
            return "one per word piece"
        rate_hz = self.store["frame_rate_hz"][modality]
        return "as in the source" if rate_hz is None else f"averaged to {rate_hz:g} Hz"

    @property
    def dropped(self) -> list[DroppedUtterance]:
        """Utterances that are in no fold: those that the store lacks, and those that the split left out."""
        of_store = [DroppedUtterance(drop["id"], drop["reason"]) for drop in self.store["dropped"]]
        return [*of_store, *self.split.dropped]

    @property
    def drop_reasons(self) -> dict[str, int]:
        """Number of dropped utterances by reason."""
        return dict(sorted(Counter(drop.reason for drop in self.dropped).items()))


def collect_facts(store: FeatureStore, split: SplitManifest, split_name: str) -> Facts:
    """Count what the cards state; reads no features.

    Args:
        store: features.
        split: which utterance is in which fold.
        split_name: what the cards call it.

    Raises:
        SplitError: the split was made from another store.
        SourceError: the source manifest of the corpus breaks the schema.
    """
    rows = fold_rows(store, split)
    columns: dict[str, Any] = store.attribute("columns")
    return Facts(
        corpus=corpus_of(store),
        store_name=store.path.stem,
        split_name=split_name,
        split=split,
        store=summarise_store(store),
        columns={modality: [str(name) for name in names] for modality, names in columns.items()},
        folds=tuple(
            FoldFacts.from_utterances(name, store.utterances.iloc[chosen]) for name, chosen in rows.items()
        ),
    )
