"""Fetching published files: they appear in their place verified, or not at all."""

from __future__ import annotations

from mer_data.sources.download.faults import DownloadError, Failure
from mer_data.sources.download.plan import Plan, PlannedFile, plan_download
from mer_data.sources.download.run import FetchedFile, download, file_sizes
from mer_data.sources.download.settings import DownloadSettings

__all__ = [
    "DownloadError",
    "DownloadSettings",
    "Failure",
    "FetchedFile",
    "Plan",
    "PlannedFile",
    "download",
    "file_sizes",
    "plan_download",
]
