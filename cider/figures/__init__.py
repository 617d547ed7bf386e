"""Figures of trained runs: the space of joint representations, one prediction step by step, debiasing."""

from cider.figures.correction import explain_correction
from cider.figures.debiasing import explain_debiasing
from cider.figures.embedding import embed_runs

__all__ = ["embed_runs", "explain_correction", "explain_debiasing"]
