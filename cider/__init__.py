"""CIDer (Causal Inference Distiller): a small model robust to missing features and shifted words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cider.inference import SentimentPredictor
    from cider.model import CIDer

__all__ = ["CIDer", "SentimentPredictor"]


def __getattr__(name: str) -> Any:
    """``cider.CIDer`` and ``cider.SentimentPredictor``, imported on first use: they need torch."""
    if name == "CIDer":
        from cider.model import CIDer

        return CIDer
    if name == "SentimentPredictor":
        from cider.inference import SentimentPredictor

        return SentimentPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
