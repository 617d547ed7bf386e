"""What a predictor gives: class scores per utterance, and tables of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cider.prediction.chosen_tau import Tau


@dataclass(frozen=True)
class Predictions:
    """Class scores of N utterances, in the order asked for.

    Attributes:
        ids: of the utterances.
        classes: C class names, in the order of the columns.
        factual: (N, C) probabilities P(Y|do(l)).
        counterfactual: (N, C) probabilities of the counterfactual text, P(Y|do(l_cf)); None where the run has
            none.
        debiased: (N, C) scores ``factual - tau * counterfactual``, whose greatest is the answer. They are no
            probabilities: they sum to 1 - tau and can be negative. Equal to ``factual`` where the run has no
            counterfactual text.
        tau: the debiasing strength, and where it came from.
        notes: what to keep in mind.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    factual: NDArray[np.float64]
    counterfactual: NDArray[np.float64] | None
    debiased: NDArray[np.float64]
    tau: Tau
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of utterances N."""
        return len(self.ids)

    @property
    def predicted(self) -> list[str]:
        """Class name of every utterance, after debiasing."""
        return self._names(self.debiased)

    @property
    def num_changed(self) -> int:
        """How many utterances debiasing gives another class."""
        before = self._names(self.factual)
        return sum(a != b for a, b in zip(before, self.predicted, strict=True))

    @property
    def class_counts(self) -> dict[str, int]:
        """Utterances per predicted class."""
        counts = Counter(self.predicted)
        return {name: counts[name] for name in self.classes}

    def to_frame(self) -> pd.DataFrame:
        """One row per utterance: ``id``, ``predicted``, then per class ``p_``, ``cf_`` and ``debiased_``.

        Without counterfactual text only ``p_`` columns.
        """
        columns: dict[str, Any] = {"id": self.ids, "predicted": self.predicted}
        tables = {"p": self.factual}
        if self.counterfactual is not None:
            tables |= {"cf": self.counterfactual, "debiased": self.debiased}
        for prefix, table in tables.items():
            columns |= {f"{prefix}_{name}": table[:, index] for index, name in enumerate(self.classes)}
        return pd.DataFrame(columns)

    def to_json(self, *, rows: bool = True) -> dict[str, Any]:
        """Plain values: summary and, with ``rows``, the scores of every utterance."""
        value: dict[str, Any] = {
            "classes": list(self.classes),
            "tau": self.tau.value,
            "tau_source": self.tau.source,
            "num_utterances": len(self),
            "predicted": self.class_counts,
            "num_changed_by_debiasing": self.num_changed,
            "notes": list(self.notes),
        }
        if rows:
            names = ["id", "predicted", "factual", "counterfactual", "debiased"]
            none = [None] * len(self)
            second = none if self.counterfactual is None else self.counterfactual.tolist()
            columns = (self.ids, self.predicted, self.factual.tolist(), second, self.debiased.tolist())
            value["utterances"] = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return value

    def _names(self, scores: NDArray[np.float64]) -> list[str]:
        return [self.classes[index] for index in scores.argmax(axis=1)]
