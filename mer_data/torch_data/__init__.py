"""Stores as PyTorch batches: padding, samplers, missing patterns, threads."""
