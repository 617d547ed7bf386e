"""Costs of training on this machine: the columns of paper Table VI, and where the time of a step goes."""

from cider.profiling.measure import measure, profile_recipe
from cider.profiling.result import PAPER, Profile

__all__ = ["PAPER", "Profile", "measure", "profile_recipe"]
