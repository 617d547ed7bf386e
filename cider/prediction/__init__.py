"""Prediction with a trained model: batches, masks, sweeps, other corpora, raw texts."""
