"""Prepare multimodal emotion corpora: stores, splits and statistics. Never imports ``cider``."""

__version__ = "0.1.0"
