"""Prepare multimodal emotion corpora: stores, splits and statistics. Never imports ``cider``."""

from mer_data.version import __version__

__all__ = ["__version__"]
