"""Splits: their manifests, the standard folds, the out-of-distribution repartition, shift measures."""

from mer_data.splits.manifest import SplitManifest
from mer_data.splits.repartition import regenerate, repartition
from mer_data.splits.settings import RepartitionSettings
from mer_data.splits.standard import standard_split

__all__ = ["RepartitionSettings", "SplitManifest", "regenerate", "repartition", "standard_split"]
