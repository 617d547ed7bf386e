"""Hyperparameter search: the study, its space, its storage and its report."""
