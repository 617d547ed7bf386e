"""Builders of small real files: computational sequences, MMSA pickles, stores."""

import json
import pickle
import resource
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mer_data.build import build_store
from mer_data.sources import load_source_manifest, open_source
from mer_data.sources.base import SourceChoices
from mer_data.sources.csd.csd_files import write_computational_sequence
from mer_data.sources.csd.folder import ComputationalSequences
from mer_data.store.reader import FeatureStore
from mer_data.text.tokenizer import Tokenizer

AUDIO_HZ, VISION_HZ = 50.0, 30.0


def counting_frames(num_frames, rate_hz, width):
    """Frames whose first column counts 0, 1, 2, ... and whose column c is the count plus 1000 c."""
    values = np.arange(num_frames)[:, None] + 1000.0 * np.arange(width)[None, :]
    borders = np.arange(num_frames + 1) / rate_hz
    return values.astype(np.float32), np.stack([borders[:-1], borders[1:]], axis=1)


def make_words(text, start, end):
    """The words of ``text``, spread evenly over [start, end]."""
    words = text.split()
    borders = np.linspace(start, end, len(words) + 1)
    return [(word, borders[i], borders[i + 1]) for i, word in enumerate(words)]


@dataclass
class Video:
    """What goes into the files for one video; None leaves it out of that file."""

    labels: list
    segments: list
    words: list | None = field(default_factory=list)
    audio: tuple | None = field(default_factory=lambda: counting_frames(150, AUDIO_HZ, 3))
    vision: tuple | None = field(default_factory=lambda: counting_frames(90, VISION_HZ, 2))


def small_corpus():
    """Three videos in three folds, two segments each."""
    segments = [(0.0, 1.0), (1.25, 2.25)]
    return {
        name: Video(labels, segments, make_words(texts[0], 0, 1) + make_words(texts[1], 1.25, 2.25))
        for name, labels, texts in (
            ("va", [1.0, -2.0], ("good film", "bad plot indeed")),
            ("vb", [0.0, 3.0], ("it was", "great fun")),
            ("vc", [-0.4, 0.6], ("dull story", "fine music there")),
        )
    }


FOLDS_OF_SMALL = {"train": ["va"], "valid": ["vb"], "test": ["vc"]}


def with_video(**changes):
    """The small corpus with fields of its first video replaced."""
    corpus = small_corpus()
    corpus["va"] = replace(corpus["va"], **changes)
    return corpus


def write_csd(path, root, content, names=None):
    """One ``.csd`` file with ``{video: (features, intervals)}``; without ``names`` no dimension names."""
    kept = {video: (np.asarray(f), np.asarray(t, dtype=float)) for video, (f, t) in content.items()}
    write_computational_sequence(
        path, root, kept, dataset_name="test", description="test", dimension_names=names or []
    )
    return path


def make_csd_folder(folder, videos=None, *, folds=FOLDS_OF_SMALL, transcripts=None):
    """A source folder in the layout of the sample corpus: four ``.csd`` files and ``folds.json``."""
    videos = small_corpus() if videos is None else videos
    folder.mkdir(parents=True, exist_ok=True)
    labels = {
        n: (np.array(v.labels, np.float32)[:, None], np.array(v.segments).reshape(-1, 2))
        for n, v in videos.items()
    }
    words = {n: v.words for n, v in videos.items() if v.words is not None}
    spoken = {
        n: (
            np.array([w[0] for w in row], "S32").reshape(-1, 1),
            np.array([w[1:] for w in row]).reshape(-1, 2),
        )
        for n, row in words.items()
    }
    write_csd(folder / "labels.csd", "Sample Labels", labels, ["sentiment"])
    write_csd(folder / "words.csd", "words", spoken, ["word"])
    audio = {n: v.audio for n, v in videos.items() if v.audio is not None}
    vision = {n: v.vision for n, v in videos.items() if v.vision is not None}
    write_csd(folder / "tone.csd", "Sample Tone", audio, ["pitch", "energy", "noise"])
    write_csd(folder / "face.csd", "Sample Face", vision, ["smile", "frown"])
    if folds is not None:
        (folder / "folds.json").write_text(json.dumps(folds))
    if transcripts is not None:
        lines = [f'"{key}","{text}",0,1' for key, text in transcripts.items()]
        (folder / "transcripts.csv").write_text("\n".join(lines) + "\n")
    return folder


def sample_manifest(**changes):
    """The sample's source manifest with some keys replaced; ``features`` extends its list."""
    manifest = load_source_manifest("sample")
    if "features" in changes:
        changes["features"] = (*manifest.features, *changes["features"])
    return manifest.model_copy(update=changes)


def open_csd(folder, *, without=(), shift_words=0, files=None, **changes):
    """The folder as a source: ``files`` chooses by role, other keys change the manifest."""
    choices = SourceChoices(dict(files or {}), without, shift_words)
    return ComputationalSequences(folder, sample_manifest(**changes), choices)


def make_store(folder, videos=None, *, alignment="unaligned", name="store.h5", **csd):
    """A store of the small corpus (or of ``videos``) with the tiny tokenizer."""
    source = make_csd_folder(folder / "raw", videos, **csd)
    build_store(open_source("sample", source), folder / name, alignment=alignment)
    return FeatureStore.open(folder / name)


def make_tokenizer_folder(folder, texts):
    """A local tokenizer folder with a tiny vocabulary of ``texts``, and its word pieces."""
    pieces = Tokenizer.from_pretrained("tiny", texts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(pieces.to_json())
    return pieces


MMSA_TEXTS = {"train": ["GOOD FILM", "BAD PLOT INDEED"], "valid": ["IT WAS"], "test": ["DULL"]}
MMSA_IDS = {"train": ["va$_$1", "va$_$2"], "valid": ["vb$_$1"], "test": ["vc$_$10"]}
MMSA_LABELS = {"train": [1.0, -2.0], "valid": [0.0], "test": [-0.4]}
MMSA_STEPS = 8


def mmsa_folds(pieces, *, aligned=False):
    """The content of an MMSA pickle: per fold padded arrays, with lengths where unaligned.

    Frame t of an utterance is t + 1 in every column, so that padding (0) is told from content.
    """
    folds = {}
    for fold, texts in MMSA_TEXTS.items():
        rows = [pieces.encode(text)[0] for text in texts]
        text_lengths = [len(row) for row in rows]
        text_bert = np.zeros((len(texts), 3, MMSA_STEPS), np.float32)
        for index, row in enumerate(rows):
            text_bert[index, 0, : len(row)] = row
            text_bert[index, 1, : len(row)] = 1
        lengths = {
            "audio": text_lengths if aligned else [3 + index for index in range(len(texts))],
            "vision": text_lengths if aligned else [2 + index for index in range(len(texts))],
        }
        part = {"raw_text": np.array(texts), "text_bert": text_bert, "id": MMSA_IDS[fold]}
        for modality, width in (("audio", 3), ("vision", 2)):
            padded = np.zeros((len(texts), MMSA_STEPS, width), np.float32)
            for index, length in enumerate(lengths[modality]):
                padded[index, :length] = np.arange(1, length + 1)[:, None]
            part[modality] = padded
            if not aligned:
                part[f"{modality}_lengths"] = lengths[modality]
        part["regression_labels"] = np.array(MMSA_LABELS[fold])
        part["annotations"] = ["Neutral"] * len(texts)
        part["classification_labels"] = np.zeros(len(texts))
        folds[fold] = part
    return folds


def write_pickle(path, content):
    """``content`` as a pickle."""
    path.write_bytes(pickle.dumps(content))
    return path


def files_below(folder):
    """Names of all files in ``folder``, hidden ones too."""
    return sorted(path.name for path in Path(folder).rglob("*") if path.is_file())


def build_sample_stores(source, folder):
    """Both stores of a sample corpus: {"aligned": path, "unaligned": path}."""
    paths = {alignment: folder / f"{alignment}.h5" for alignment in ("aligned", "unaligned")}
    for alignment, path in paths.items():
        build_store(open_source("sample", source), path, alignment=alignment)
    return paths


@contextmanager
def limited_memory(num_bytes):
    """Let this process take ``num_bytes`` more than now, as on a small machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


PICKLED_ARRAYS = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(8)[::2],
    "big endian": np.arange(3, dtype=">i4"),
    "text": np.array(["a", "bcd"]),
    "bytes": np.array([b"x", b"yz"]),
    "objects": np.array([["a", None], [1, [2]]], dtype=object),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "no dimensions": np.array(3.0),
    "scalar": np.float32(2.5),
}
"""Every kind of array that a reader of pickles has to bring back as it was."""
