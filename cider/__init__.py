"""CIDer (Causal Inference Distiller): a small model robust to missing features and shifted words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cider.prediction.sentiment_predictor import SentimentPredictor

__all__ = ["load"]


def load(run: str | Path, *, tau: float | None = None) -> SentimentPredictor:
    """Return a trained run, ready to predict: ``cider.load(run).predict(store)``.

    Args:
        run: its folder.
        tau: debiasing strength; None takes the one that validation chooses.

    Raises:
        RunError: no run, or a damaged one.
    """
    from cider.prediction.sentiment_predictor import SentimentPredictor  # torch is loaded on first use

    return SentimentPredictor.load(run, tau=tau)
