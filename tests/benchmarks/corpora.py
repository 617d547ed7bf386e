"""Corpora and stores in the shape of CMU-MOSI and CMU-MOSEI: real or like intervals, synthetic frames."""

import numpy as np
import pandas as pd

from mer_data.sources.csd.csd_files import ComputationalSequence, write_computational_sequence
from mer_data.store.writer import StoreBlock, writing_store
from mer_data.text.tokenizer import Tokenizer
from mer_data.utterances import WORD_DTYPE, Ragged

MOSEI_UTTERANCES, MEAN_S = 23_000, 7.0
MOSEI_WIDTHS = {"audio": 74, "vision": 35}
MOSEI_RATES = {"audio": 20.0, "vision": 15.0}
MOSEI_LIMITS = {"text": 50, "audio": 500, "vision": 500}
_WORDS = [f"word{number}" for number in range(500)]


def write_mosei_store(path, num_utterances=MOSEI_UTTERANCES, block=500):
    """An unaligned store in the shape of CMU-MOSEI: 20 pieces, 140 x 74 audio, 105 x 35 vision on average."""
    rng = np.random.default_rng(0)
    pieces = Tokenizer.from_pretrained("tiny", _WORDS)
    frames = []
    with writing_store(path, MOSEI_WIDTHS, pieces) as writer:
        for start in range(0, num_utterances, block):
            ready = _store_block(rng, pieces, start, min(block, num_utterances - start))
            writer.append(ready)
            frames.append(ready.frame[["id", "label", "text"]])
        attributes = {
            "dataset": "mosei",
            "alignment": "unaligned",
            "tokenizer": "tiny",
            "vocabulary_digest": pieces.vocabulary_digest,
            "limits": MOSEI_LIMITS,
        }
        writer.finish(attributes, pd.concat(frames, ignore_index=True), [])


def _store_block(rng, pieces, first, num):
    lengths_s = rng.gamma(4, MEAN_S / 4, num)
    texts = [" ".join(rng.choice(_WORDS, rng.integers(6, 31))) for _ in range(num)]
    encoded = [pieces.encode(text) for text in texts]
    frame = pd.DataFrame(
        {
            "id": [f"v{(first + row) // 7:05d}$_${(first + row) % 7 + 1}" for row in range(num)],
            "video_id": [f"v{(first + row) // 7:05d}" for row in range(num)],
            "segment": [(first + row) % 7 + 1 for row in range(num)],
            "start_s": 0.0,
            "end_s": lengths_s,
            "label": rng.uniform(-3, 3, num).astype(np.float32),
            "text": texts,
            "fold": "train",
        }
    )
    words = [np.array([(word, 0.0, 1.0) for word in text.split()], WORD_DTYPE) for text in texts]
    streams = {}
    for modality, width in MOSEI_WIDTHS.items():
        counts = np.maximum(1, np.round(lengths_s * MOSEI_RATES[modality])).astype(np.int64)
        values = rng.standard_normal((counts.sum(), width), dtype=np.float32)
        streams[modality] = Ragged(values, np.concatenate([[0], np.cumsum(counts)]))
    return StoreBlock(
        frame,
        Ragged.from_rows(words, np.empty(0, WORD_DTYPE)),
        Ragged.from_rows([ids for ids, _ in encoded], np.empty(0, np.int32)),
        Ragged.from_rows([owner for _, owner in encoded], np.empty(0, np.int32)),
        streams,
    )


def _frames(rng, end_s, rate_hz, width):
    """Touching frames from 0 to ``end_s``."""
    borders = np.arange(int(end_s * rate_hz) + 2) / rate_hz
    values = rng.standard_normal((len(borders) - 1, width), dtype=np.float32)
    return values, np.stack([borders[:-1], borders[1:]], axis=1)


def write_mosi_folder(folder, real, num_videos=None):
    """The real labels and words of CMU-MOSI with frames like COVAREP's and Facet's (100 Hz x 74, 30 Hz x 47).

    ``num_videos`` takes the first ones only. Returns their ids.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels = ComputationalSequence(real / "CMU_MOSI_Opinion_Labels.csd")
    words = ComputationalSequence(real / "words.csd")
    videos = labels.videos[:num_videos]
    ends = {v: max(labels.read(v)[1].max(), words.read(v)[1].max()) for v in videos}
    parts = {
        "labels": ("Opinion Segment Labels", {v: labels.read(v) for v in videos}),
        "words": ("words", {v: words.read(v) for v in videos}),
        "covarep": ("COVAREP", {v: _frames(rng, ends[v], 100.0, 74) for v in videos}),
        "facet": ("FACET 4.1", {v: _frames(rng, ends[v], 30.0, 47) for v in videos}),
    }
    for name, (root, content) in parts.items():
        _write(folder / f"{name}.csd", root, content)
    return videos


def write_mosei_folder(folder, num_videos, roots):
    """``num_videos`` videos like CMU-MOSEI's raw files: 7 segments of 7 s, 100 Hz x 74, 30 Hz x 35."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"video{number:05d}" for number in range(num_videos)]
    makers = {"labels": _labels, "words": _spoken, "audio": _audio, "vision": _vision}
    for role, root in roots.items():
        _write(folder / f"{role}.csd", root, _Lazily(names, makers[role]))


class _Lazily:
    """``{video: content}`` whose content is made when it is written: a corpus never has to fit in memory."""

    def __init__(self, names, make):
        self._names, self._make = names, make

    def items(self):
        for number, name in enumerate(self._names):
            yield name, self._make(np.random.default_rng(number), _segments(number))


def _segments(number):
    rng = np.random.default_rng([number, 1])
    lengths = rng.gamma(4, MEAN_S / 4, 7) + 0.5
    starts = np.cumsum(np.concatenate([[1.0], lengths[:-1] + rng.uniform(0, 1, 6)]))
    return np.stack([starts, starts + lengths], axis=1)


def _labels(rng, segments):
    return rng.uniform(-3, 3, (len(segments), 1)).astype(np.float32), segments


def _spoken(rng, segments):
    tokens, times = [], []
    for start, end in segments:
        borders = np.linspace(start, end, int(rng.integers(10, 31)))
        times.append(np.stack([borders[:-1], borders[1:]], axis=1))
        tokens += list(rng.choice(_WORDS, len(borders) - 1))
    return np.array(tokens, "S32")[:, None], np.concatenate(times)


def _audio(rng, segments):
    return _frames(rng, segments.max(), 100.0, 74)


def _vision(rng, segments):
    return _frames(rng, segments.max(), 30.0, 35)


def _write(path, root, content):
    write_computational_sequence(
        path, root, content, dataset_name="benchmark", description="synthetic frames", dimension_names=[]
    )
