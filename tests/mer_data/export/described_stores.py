"""Small stores with the attributes that a build leaves, for the cards of exports."""

import json

import h5py
from exact_stores import WIDTHS, write_store

from mer_data.splits import standard_split
from mer_data.store.reader import FeatureStore

ATTRIBUTES = {
    "columns": {name: [f"{name}{i}" for i in range(width)] for name, width in WIDTHS.items()},
    "feature_sets": {"audio": "tone", "vision": "face"},
    "frame_rate_hz": {"audio": 12.5, "vision": None},
    "cleaning": {"audio_values_not_finite": 1234, "zero_length_segments": 0},
    "sources": {"a.csd": "sha256:1"},
}


def described_store(path, texts, labels=None, **options):
    """A store of ``exact_stores.write_store`` with these attributes; its name is that of the file."""
    write_store(path, texts, labels, **options).close()
    with h5py.File(path, "a") as file:
        file.attrs.update({name: json.dumps(value) for name, value in ATTRIBUTES.items()})
    return FeatureStore.open(path)


def standard(store):
    """The split of the store's own folds."""
    return standard_split(store.utterances, dataset=store.dataset, utterance_digest=store.utterance_digest)
