"""Scores from predictions: metrics, protocols, intervals, comparisons. Does not import torch."""
