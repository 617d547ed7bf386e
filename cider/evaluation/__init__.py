"""Metrics and counterfactual debiasing, from predictions alone."""
