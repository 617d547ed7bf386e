"""CMU-MOSEI made up: its published file names, roots and widths, its own video ids, invented content."""

import h5py
import numpy as np

from mer_data.sources import load_source_manifest
from mer_data.sources.folds import standard_folds

_GOOD = ("wonderful", "great", "brilliant", "lovely")
_BAD = ("terrible", "awful", "dull", "boring")
_TIED = ("sunday", "cinema", "monday", "traffic")
_FILLER = ("the", "film", "was", "really", "story", "and", "we", "saw", "it", "with", "music", "people")
_WORDS_PER_SEGMENT = 7
_RATES = {"COVAREP": (100.0, 74), "FACET 4.2": (30.0, 35)}
_SECONDS_PER_WORD = 0.1


def write_made_up_mosei(folder, num_segments=1):
    """The four files of a download; every video of the standard folds, ``num_segments`` segments each.

    Frames lean with the label, opinion words tell it, and some words only happen to go with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    videos = sorted(standard_folds(load_source_manifest("mosei").folds, folder))
    length = _WORDS_PER_SEGMENT * _SECONDS_PER_WORD
    borders = np.arange(num_segments * _WORDS_PER_SEGMENT + 1) * _SECONDS_PER_WORD
    labels = {name: rng.choice(np.arange(-9, 10) / 3, num_segments) for name in videos}
    segments = np.stack([np.arange(num_segments), np.arange(1, num_segments + 1)], axis=1) * length
    with h5py.File(folder / "CMU_MOSEI_LabelsSentiment.csd", "w") as file:
        for name, values in labels.items():
            _put(file, "Sentiment Labels", name, values[:, None].astype(np.float32), segments)
    with h5py.File(folder / "CMU_MOSEI_TimestampedWords.csd", "w") as file:
        times = np.stack([borders[:-1], borders[1:]], axis=1)
        for name, values in labels.items():
            words = np.concatenate([_sentence(rng, value) for value in values])
            _put(file, "words", name, words[:, None].astype("S16"), times)
    for file_name, root in (
        ("CMU_MOSEI_COVAREP.csd", "COVAREP"),
        ("CMU_MOSEI_VisualFacet42.csd", "FACET 4.2"),
    ):
        rate, width = _RATES[root]
        count = round(num_segments * length * rate)
        times = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1) / rate
        with h5py.File(folder / file_name, "w") as file:
            for name, values in labels.items():
                frames = rng.normal(size=(count, width))
                frames[:, 0] += np.repeat(values, -(-count // num_segments))[:count]
                _put(file, root, name, frames.astype(np.float32), times)


def _sentence(rng, label):
    words = rng.choice(_FILLER, _WORDS_PER_SEGMENT)
    if label:
        words[2] = rng.choice(_GOOD if label > 0 else _BAD)
        words[4] = rng.choice(_TIED[:2] if (label > 0) == (rng.random() < 0.7) else _TIED[2:])
    return words


def _put(file, root, name, features, times):
    group = file.create_group(f"{root}/data/{name}")
    group.create_dataset("features", data=features)
    group.create_dataset("intervals", data=times)
