"""Evaluation from beginning to end: prediction, scores and report of a run or a series of splits."""
