"""The seeds that every random generator in use takes."""

from __future__ import annotations

MAX_SEED = 2**32 - 1
"""Largest seed: that of numpy's older generators, which libraries still seed."""
