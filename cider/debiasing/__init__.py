"""Debiasing that any model takes: the causal head and counterfactual text (MACI)."""
