"""One prediction with its steps: plain data, which the figure and its JSON are made of (paper Fig. 9)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cider.prediction.chosen_tau import Tau
from cider.scoring.names import Debiasing

PLAIN, MCM, COUNTERFACTUAL_TEXT, BOTH = "plain", "with MCM", "counterfactual text", "with both"


@dataclass(frozen=True)
class Piece:
    """A word piece as the model reads it, and whether the counterfactual text keeps it."""

    text: str
    kept: bool


@dataclass(frozen=True)
class Correction:
    """One utterance of the test fold, complete, as the steps of the method answer it.

    Attributes:
        run: folder of the run with both halves of MACI.
        plain_run: folder of the run with neither.
        id: of the utterance.
        text: its text.
        true_class: index of its class.
        classes: C class names.
        scores: for every step (C,): probabilities of the plain run, of the run with MCM, and of its answer
            to the counterfactual text; ``with both`` is the second less tau times the third.
        tau: the strength, and where it came from.
        debiasing: what is subtracted: probabilities, or their logarithms.
        pieces: the text as the model reads it, without [CLS] and [SEP].
        choice: how the utterance was found.
        corrected: test utterances that the plain run gets wrong and the whole method right.
        spoiled: the other way round.
        utterances: of the test fold.
    """

    run: Path
    plain_run: Path
    id: str
    text: str
    true_class: int
    classes: tuple[str, ...]
    scores: dict[str, NDArray[np.float64]]
    tau: Tau
    debiasing: Debiasing
    pieces: tuple[Piece, ...]
    choice: str
    corrected: int
    spoiled: int
    utterances: int

    @property
    def counterfactual_text(self) -> str:
        """The kept words, [MASK] for every other piece."""
        return "".join(
            piece.text.removeprefix("##") if piece.kept and piece.text.startswith("##")
            else f" {piece.text if piece.kept else '[MASK]'}"
            for piece in self.pieces
        ).strip()  # fmt: skip

    @property
    def caption(self) -> str:
        """What a reader must know to judge the figure."""
        strength = f"tau = {self.tau.value:g} ({self.tau.source})"
        if self.tau.value == 0:
            strength += ": nothing is subtracted, so the last step is the second again"
        return (
            f"Utterance {self.id} of the test fold, complete data; {self.choice}. {strength}. Among all"
            f" {self.utterances} test utterances the whole method corrects {self.corrected} answers of the"
            f" plain run and spoils {self.spoiled}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": str(self.run),
            "plain_run": str(self.plain_run),
            "id": self.id,
            "text": self.text,
            "true_class": self.classes[self.true_class],
            "classes": list(self.classes),
            "steps": {
                name: {"scores": values.tolist(), "predicted": self.classes[int(values.argmax())]}
                for name, values in self.scores.items()
            },
            "tau": self.tau.value,
            "tau_source": self.tau.source,
            "debiasing": self.debiasing,
            "counterfactual_text": self.counterfactual_text,
            "pieces": [{"text": piece.text, "kept": piece.kept} for piece in self.pieces],
            "choice": self.choice,
            "corrected": self.corrected,
            "spoiled": self.spoiled,
            "utterances": self.utterances,
            "caption": self.caption,
        }
