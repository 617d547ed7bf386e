"""How long an out-of-distribution split takes: real CMU-MOSI, and the size of CMU-MOSEI.

For CMU-MOSEI the ids, times and labels are real and the words generated: 15,000 words of Zipf's frequencies,
each leaning to one sign of the label.
"""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Clock, in_process, report, table

from mer_data.build import build_store
from mer_data.sources import open_source
from mer_data.splits import RepartitionSettings, repartition
from mer_data.store import FeatureStore
from mer_data.tasks import TASKS
from mer_data.utterances import FOLDS

NUM_WORDS = 15_000
WORDS_PER_UTTERANCE = 18.7


def mosei(labels):
    """The frame of a store in the shape of CMU-MOSEI."""
    from mmsdk.mmdatasdk.dataset.standard_datasets.CMU_MOSEI import cmu_mosei_std_folds as standard

    fold_of = {v: fold for fold in FOLDS for v in getattr(standard, f"standard_{fold}_fold")}
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, NUM_WORDS + 1)
    lean = rng.normal(0, 0.35, NUM_WORDS)
    words = np.array([f"w{number}" for number in range(NUM_WORDS)])
    cumulative, rows = {}, []
    with labels.open(encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            label = float(row["label7"])
            if label not in cumulative:
                share = frequency * np.exp(lean * np.sign(label))
                cumulative[label] = np.cumsum(share / share.sum())
            length = max(1, int(rng.gamma(2.2, WORDS_PER_UTTERANCE / 2.2)))
            drawn = np.searchsorted(cumulative[label], rng.random(length)).clip(0, NUM_WORDS - 1)
            segment = int(row["index"]) + 1
            rows.append(
                {
                    "id": f"{row['file']}$_${segment}",
                    "video_id": row["file"],
                    "segment": segment,
                    "start_s": float(row["start"]),
                    "end_s": float(row["end"]),
                    "label": label,
                    "text": " ".join(words[drawn]),
                    "fold": fold_of.get(row["file"], "none"),
                }
            )
    return pd.DataFrame(rows)


def mosi(source, folder):
    build_store(open_source("mosi", source), folder / "mosi.h5", alignment="unaligned")
    return FeatureStore.open(folder / "mosi.h5").utterances


def measure(corpus, task, source, folder):
    """One split in this process."""
    utterances = mosei(Path(source)) if corpus == "mosei" else mosi(Path(source), Path(folder))
    with Clock() as clock:
        (manifest,) = repartition(
            utterances,
            dataset=corpus,
            utterance_digest="sha256:0",
            task=TASKS[task],
            settings=RepartitionSettings(),
        )
    bits = manifest.shift["word_label_divergence_bits"]
    report(
        corpus=corpus,
        task=task,
        utterances=sum(map(len, manifest.splits.values())),
        words=manifest.shift["num_words"],
        seconds=round(clock.seconds, 1),
        divergence=bits["this_split"],
        random=bits["random_mean"],
    )


def run(shared):
    sources = {"mosi": shared / "mosi", "mosei": shared / "mosei" / "CMU_MOSEI_Labels.csv"}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for corpus, source in sources.items():
            for task in ("binary", "seven"):
                if source.exists():
                    rows.append(in_process(__file__, corpus, task, source, folder).values())
    header = ["corpus", "task", "utterances", "words", "seconds", "divergence", "random", "peak MiB"]
    table("Repartition, default settings, with the shift report", header, rows)


if __name__ == "__main__":
    measure(*sys.argv[1:])
