from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mer_data.splits import RepartitionSettings, SplitManifest, repartition
from mer_data.splits.shift.words import NumberedWords, WordTable
from mer_data.tasks import TASKS

SPURIOUS = ("velvet", "marble", "copper", "lemon")
FILLERS = tuple(f"filler{i}" for i in range(20))


def make_corpus(num_rows: int = 300, seed: int = 0, folds: tuple[float, float] = (0.6, 0.1)) -> pd.DataFrame:
    """Utterances in two hidden groups: in the smaller one, spurious words go with the opposite sign."""
    rng = np.random.default_rng(seed)
    rows = []
    fold_names = np.array(["train", "valid", "test"])[
        np.searchsorted(np.floor(np.cumsum(folds) * num_rows), np.arange(num_rows), side="right")
    ]
    for i in range(num_rows):
        label = (-1.5, 1.5, -0.6, 2.2, 0.0)[i % 5]
        flipped = rng.random() < 0.3
        spurious = SPURIOUS[rng.integers(2) + 2 * ((label > 0) != flipped)]
        words = [spurious, *rng.choice(FILLERS, size=rng.integers(1, 8), replace=False)]
        rows.append(
            {
                "id": f"v{i // 4:03d}$_${i % 4 + 1}",
                "video_id": f"v{i // 4:03d}",
                "segment": i % 4 + 1,
                "start_s": 0.0,
                "end_s": 1.0,
                "label": label,
                "text": " ".join(words).upper(),
                "fold": fold_names[i],
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def corpus() -> pd.DataFrame:
    return make_corpus()


@pytest.fixture(scope="session")
def corpus_maker() -> Callable[..., pd.DataFrame]:
    return make_corpus


@pytest.fixture(scope="session")
def series() -> Callable[..., list[SplitManifest]]:
    """``repartition`` of a made-up corpus; options are settings."""

    def run(corpus, levels, task="binary", progress=None, **options):
        return repartition(
            corpus,
            dataset="mosi",
            utterance_digest="sha256:1",
            task=TASKS[task],
            settings=RepartitionSettings(**options),
            severities=levels,
            progress=progress,
        )

    return run


@pytest.fixture(scope="session")
def ood(series) -> Callable[..., SplitManifest]:
    """One split of a made-up corpus."""

    def run(corpus, **options):
        (manifest,) = series(corpus, None, **options)
        return manifest

    return run


@pytest.fixture(scope="session")
def table_of() -> Callable[..., WordTable]:
    """The words and classes of a made-up corpus."""

    def run(corpus, task="binary", min_count=5):
        classes = TASKS[task].class_of(corpus["label"].to_numpy())
        words = NumberedWords.from_texts(corpus["text"])
        return WordTable.build(words, classes, TASKS[task].num_classes, min_count)

    return run
