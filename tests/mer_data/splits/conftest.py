from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

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


@pytest.fixture
def corpus_maker() -> Callable[..., pd.DataFrame]:
    return make_corpus
