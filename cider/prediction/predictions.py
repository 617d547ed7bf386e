"""Class scores per utterance, as tables, lines and files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cider.prediction.chosen_tau import Tau
from mer_data.errors import MerDataError
from mer_data.files.csv_files import write_csv
from mer_data.files.writing import complete_or_absent, refuse_overwrite

_SUFFIXES = (".csv", ".parquet")
_SHOWN = 10
"""Utterances of the table for a terminal."""


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
        """Number of utterances that debiasing gives another class."""
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

    def table(self) -> list[str]:
        """Return lines of the first utterances, with their classes and scores before and after debiasing."""
        frame = self.to_frame().head(_SHOWN)
        shown = frame[[name for name in frame.columns if not name.startswith("cf_")]]
        table = shown.to_string(index=False, float_format="{:.3f}".format)
        rest = len(self) - _SHOWN
        return [*table.splitlines(), *([f"... and {rest} more"] if rest > 0 else [])]

    def facts(self) -> list[str]:
        """Return lines with the number of utterances of each class, tau, and what to keep in mind."""
        counts = ", ".join(f"{count} {name}" for name, count in self.class_counts.items())
        return [
            f"{len(self)} utterances: {counts}.",
            f"tau {self.tau.value:g}, {self.tau.source}; debiasing changed {self.num_changed} answers.",
            *(f"Note: {note}." for note in self.notes),
        ]

    def _names(self, scores: NDArray[np.float64]) -> list[str]:
        return [self.classes[index] for index in scores.argmax(axis=1)]


def check_target(path: str | Path, *, force: bool) -> None:
    """Refuse, before any work, a file that ``write_predictions`` could not or should not write.

    Raises:
        MerDataError: neither CSV nor Parquet, or it exists and ``force`` is off.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise MerDataError(
            f"cannot tell the format of {path}",
            found=path.suffix or "no suffix",
            expected=" or ".join(_SUFFIXES),
        )
    refuse_overwrite(path, force=force, error=MerDataError)


def write_predictions(predictions: Predictions, path: str | Path) -> None:
    """Write the table as CSV or Parquet, by the suffix; the file appears only when complete."""
    path = Path(path)
    table = predictions.to_frame()
    if path.suffix == ".csv":
        write_csv(table, path)
        return
    with complete_or_absent(path) as partial:
        table.to_parquet(partial, index=False)
