"""Verification: every check on stores, splits, statistics and vocabularies, as findings."""

from mer_data.verify.findings import Finding
from mer_data.verify.run import Verification, verify
from mer_data.verify.split import verify_split
from mer_data.verify.statistics import verify_statistics, verify_vocabulary
from mer_data.verify.store import verify_store

__all__ = [
    "Finding",
    "Verification",
    "verify",
    "verify_split",
    "verify_statistics",
    "verify_store",
    "verify_vocabulary",
]
