"""Multimodal sentiment corpora: checked stores, out-of-distribution splits, batches with missing features.

>>> import mer_data as md
>>> data = md.load("sample", split="standard")
>>> for batch in data.loader("train", batch_size=32, missing=md.rmfm(0.5), seed=0): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mer_data.version import __version__

if TYPE_CHECKING:
    from mer_data.dataset import CorpusSplit, Missing

__all__ = ["__version__", "load", "rmfm", "rmfm_same", "rmm", "stmfm", "tmfm"]


def __dir__() -> list[str]:
    """Show the API, and nothing that it happens to import."""
    return __all__


def load(
    dataset: str | None = None,
    *,
    split: str | Path | None = None,
    alignment: str | Path | None = None,
    task: str | None = None,
) -> CorpusSplit:
    """Open a corpus of the workspace with one of its splits, see `mer_data.dataset.load`."""
    from mer_data import dataset as room

    return room.load(dataset, split=split, alignment=alignment, task=task)


def rmfm(rate: float | None = None) -> Missing:
    """Lose single pieces and frames of all modalities at ``rate``; None: a random rate per utterance."""
    return _missing("rmfm", rate)


def rmfm_same(rate: float | None = None) -> Missing:
    """Lose single pieces and frames, with a mask for every modality."""
    return _missing("rmfm_same", rate)


def rmm(rate: float | None = None) -> Missing:
    """Lose whole modalities."""
    return _missing("rmm", rate)


def tmfm(rate: float | None = None) -> Missing:
    """Lose the same steps of all modalities; for aligned stores."""
    return _missing("tmfm", rate)


def stmfm(rate: float | None = None) -> Missing:
    """Lose one block of steps of all modalities; for aligned stores."""
    return _missing("stmfm", rate)


def _missing(pattern: str, rate: float | None) -> Missing:
    from mer_data.dataset import Missing

    return Missing(pattern, rate)
