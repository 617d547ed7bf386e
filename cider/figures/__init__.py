"""Figures of trained runs: the space of joint representations, and one prediction step by step."""

from cider.figures.correction import explain_correction
from cider.figures.embedding import embed_runs

__all__ = ["embed_runs", "explain_correction"]
