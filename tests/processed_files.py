"""Small made-up files in the layouts of MMSA, CIDer and CASP, of utterances that real corpora have."""

import pickle
from zlib import crc32

import joblib
import numpy as np

from mer_data.sources import load_source_manifest
from mer_data.sources.folds import standard_folds
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import FOLDS

WORDS = ("good", "bad", "film", "plot", "story", "great", "dull", "scene", "actor", "music")


def standard_ids(dataset, num_videos=4, segments=3):
    """Ids of some utterances of every standard fold."""
    folds = standard_folds(load_source_manifest(dataset).folds, None)
    ids = {}
    for fold in FOLDS:
        videos = sorted(video for video, of in folds.items() if of == fold)[:num_videos]
        ids[fold] = [f"{video}$_${number}" for video in videos for number in range(1, segments + 1)]
    return ids


def shuffled(ids, seed=0):
    """The same utterances in other folds of the same sizes."""
    names = np.random.default_rng(seed).permutation([name for fold in FOLDS for name in ids[fold]])
    sizes = np.cumsum([len(ids[fold]) for fold in FOLDS])[:-1]
    return {fold: list(map(str, part)) for fold, part in zip(FOLDS, np.split(names, sizes), strict=True)}


def text_of(name):
    rng = np.random.default_rng(crc32(name.encode()))
    return " ".join(rng.choice(WORDS, 3 + crc32(name.encode()) % 5))


def label_of(name):
    return float(np.random.default_rng(crc32(name.encode())).integers(-3, 4))


def frames_of(name, modality, length, width):
    seed = crc32(f"{name} {modality}".encode())
    return np.random.default_rng(seed).normal(size=(length, width)).astype(np.float32)


def processed(ids, widths=(5, 20), steps=(12, 9), *, lengths=True, aligned=False, pieces=10):
    """The content of a file; an utterance is the same in every file.

    Args:
        ids: utterance ids by fold.
        widths: columns of audio and vision.
        steps: padded length of audio and vision.
        lengths: whether the file says how long rows are.
        aligned: one frame for each word piece, without lengths.
        pieces: padded length of the word pieces.
    """
    tokenizer = Tokenizer.from_pretrained("bert-base-uncased")
    content = {}
    for fold, names in ids.items():
        rows = [tokenizer.encode(text_of(name))[0][:pieces] for name in names]
        bert = np.zeros((len(names), 3, pieces), np.float32)
        for index, row in enumerate(rows):
            bert[index, 0, : len(row)], bert[index, 1, : len(row)] = row, 1
        part = {
            "raw_text": np.array([text_of(name) for name in names]),
            "text_bert": bert,
            "id": list(names),
            "regression_labels": np.array([label_of(name) for name in names]),
            "annotations": ["Neutral"] * len(names),
            "classification_labels": np.zeros(len(names)),
        }
        for modality, width, step in zip(("audio", "vision"), widths, steps, strict=True):
            longest = pieces if aligned else step
            sizes = [
                len(row) if aligned else 2 + crc32(name.encode()) % (step - 2)
                for name, row in zip(names, rows, strict=True)
            ]
            padded = np.zeros((len(names), longest, width), np.float32)
            for index, (name, size) in enumerate(zip(names, sizes, strict=True)):
                padded[index, :size] = frames_of(name, modality, size, width)
            part[modality] = padded
            if lengths and not aligned:
                part[f"{modality}_lengths"] = sizes
        content[fold] = part
    return content


def write_mmsa(path, content):
    """As MMSA writes it."""
    path.write_bytes(pickle.dumps(content))
    return path


def write_cider(path, content):
    """As CIDer's files are written."""
    joblib.dump(content, path, compress=3)
    return path


def casp_ids(ids):
    """Ids as CASP's files spell them."""
    return {fold: [name.replace("$_$", "_") for name in names] for fold, names in ids.items()}
