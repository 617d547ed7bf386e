"""Predictions under missing data, and what is computed from them: scores, intervals, comparisons, reports."""
