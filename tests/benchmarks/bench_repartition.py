"""How long an out-of-distribution split takes: real CMU-MOSI, real CMU-MOSEI, a million generated utterances.

The generated corpus has videos of seven utterances and 15,000 words of Zipf frequencies, each leaning to one
sign of the label.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Clock, in_process, report, table

from mer_data.build import build_store
from mer_data.sources import open_source
from mer_data.splits import RepartitionSettings, repartition
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS

NUM_GENERATED = 1_000_000
NUM_WORDS = 15_000
WORDS_PER_UTTERANCE = 18.7
UTTERANCES_PER_VIDEO = 7
PART = 50_000
FOLDS_OF_SEVEN = ("train", "train", "train", "train", "valid", "test", "test")
"""Folds of seven videos in turn."""


def generated(num_rows):
    """The frame of a store of generated utterances."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, NUM_WORDS + 1)
    lean = rng.normal(0, 0.35, NUM_WORDS)
    words = np.array([f"w{number}" for number in range(NUM_WORDS)])
    labels = rng.integers(-9, 10, num_rows) / 3
    texts = np.empty(num_rows, dtype=object)
    for sign in (-1, 0, 1):
        share = frequency * np.exp(lean * sign)
        cumulative = np.cumsum(share / share.sum())
        rows = np.flatnonzero(np.sign(labels) == sign)
        lengths = np.maximum(rng.gamma(2.2, WORDS_PER_UTTERANCE / 2.2, len(rows)).astype(int), 1)
        for part in range(0, len(rows), PART):
            ends = np.cumsum(lengths[part : part + PART])
            drawn = np.searchsorted(cumulative, rng.random(ends[-1])).clip(0, NUM_WORDS - 1)
            for row, own in zip(rows[part : part + PART], np.split(words[drawn], ends[:-1]), strict=True):
                texts[row] = " ".join(own)
    number, segment = np.divmod(np.arange(num_rows), UTTERANCES_PER_VIDEO)
    videos = np.char.add("v", number.astype(str))
    return pd.DataFrame(
        {
            "id": np.char.add(np.char.add(videos, "$_$"), (segment + 1).astype(str)).astype(object),
            "video_id": videos.astype(object),
            "label": labels.astype(np.float32),
            "text": texts,
            "fold": np.array(["train", "train", "train", "train", "valid", "test", "test"], dtype=object)[
                number % 7
            ],
        }
    )


def read(corpus, source, folder):
    """The frame of a store of a real corpus."""
    build_store(open_source(corpus, Path(source)), Path(folder) / f"{corpus}.h5", alignment="unaligned")
    return FeatureStore.open(Path(folder) / f"{corpus}.h5").utterances


def measure(corpus, task, group_by, source, folder):
    """One split in this process."""
    utterances = generated(NUM_GENERATED) if corpus == "generated" else read(corpus, source, folder)
    with Clock() as clock:
        (manifest,) = repartition(
            utterances,
            dataset=corpus,
            utterance_digest="sha256:0",
            task=TASKS[task],
            settings=RepartitionSettings(group_by=group_by),
        )
    bits = manifest.shift["word_label_divergence_bits"]
    report(
        corpus=corpus,
        task=task,
        moved=group_by,
        utterances=sum(map(len, manifest.splits.values())),
        words=manifest.shift["num_words"],
        seconds=round(clock.seconds, 1),
        divergence=bits["this_split"],
        random=bits["random_mean"],
    )


def run(shared):
    sources = {"mosi": shared / "mosi", "mosei": shared / "mosei" / "label.csv"}
    runs = [
        (corpus, task, group_by, source)
        for corpus, source in sources.items()
        if source.exists()
        for task in TASKS
        for group_by in ("utterance", "video")
    ]
    runs.append(("generated", "binary", "utterance", ""))
    with tempfile.TemporaryDirectory() as folder:
        rows = [in_process(__file__, *given, folder).values() for given in runs]
    header = [
        "corpus", "task", "moved", "utterances", "words", "seconds", "divergence", "random", "peak MiB",
    ]  # fmt: skip
    table("Repartition, default settings, with the shift report", header, rows)


if __name__ == "__main__":
    measure(*sys.argv[1:])
