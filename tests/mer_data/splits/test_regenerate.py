"""Equal input and parameters give equal bytes: in this process, in others, and from a manifest."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mer_data.errors import SplitError
from mer_data.splits import SplitManifest, regenerate
from mer_data.tasks import TASKS


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_splits(corpus, ood, tmp_path):
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        ood(corpus, seed=seed, steps_per_utterance=10).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert SplitManifest.load(tmp_path / "a").splits != SplitManifest.load(tmp_path / "c").splits


SCRIPT = """
import sys
from pathlib import Path
import pandas as pd
from mer_data.splits import RepartitionSettings, repartition
from mer_data.tasks import TASKS
for task in ("binary", "seven"):
    splits = repartition(
        pd.read_pickle(sys.argv[1]), dataset="mosi", utterance_digest="sha256:1", task=TASKS[task],
        settings=RepartitionSettings(label_tolerance=0.1), severities=[0.5, 1],
    )
    for split in splits:
        split.save(Path(sys.argv[2]) / f"{task}{split.generator['severity']}.json")
"""


def test_equal_bytes_on_any_number_of_threads_and_on_lesser_processors(corpus_maker, tmp_path):
    """Logarithms differ in their last bit between instruction sets; the search must not see it."""
    corpus = corpus_maker(150)
    corpus["label"] = np.arange(150) % 7 - 3.0
    corpus.to_pickle(tmp_path / "corpus.pickle")
    extensions = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
    machines = {
        "one": {"OMP_NUM_THREADS": "1"},
        "two": {"OMP_NUM_THREADS": "2", "NPY_DISABLE_CPU_FEATURES": extensions},
    }
    for name, variables in machines.items():
        (tmp_path / name).mkdir()
        subprocess.run(
            [sys.executable, "-c", SCRIPT, tmp_path / "corpus.pickle", tmp_path / name],
            env={**os.environ, **variables},
            check=True,
        )
    files = [path.name for path in sorted((tmp_path / "one").iterdir())]
    assert files == ["binary0.5.json", "binary1.json", "seven0.5.json", "seven1.json"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


OPTIONS = [
    {},
    {"severity": 1, "restarts": 1, "seed": 5},
    {"keep_valid": "ood", "severity": 0.0, "smoothing": 0.0},
    {"sizes": (100, 50, 60), "min_count": 4},
    {"group_by": "video", "label_tolerance": 0.1, "sizes": (184, 28, 88)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_recorded_parameters_make_the_identical_manifest(corpus, ood, tmp_path, options):
    split = ood(corpus, **options)
    split.save(tmp_path / "split.json")
    again = regenerate(SplitManifest.load(tmp_path / "split.json"), corpus, TASKS["binary"])
    assert again.digest == split.digest
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "split.json").read_bytes()


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"name": "standard_folds"}, "was not made by repartition: found 'standard_folds'"),
        ({}, "was not made by repartition: found None"),
        ({"name": "repartition", "excess_bits": 0.1}, "parameters of another version: found .*excess_bits"),
        ({"name": "repartition", "severity": "high"}, "parameters of another version"),
        ({"name": "repartition", "sizes": 5}, "parameters of another version"),
        ({"name": "repartition", "severity": 2}, "impossible severity: found 2"),
    ],
)
def test_what_cannot_be_made_again_is_told(corpus, ood, generator, message):
    split = replace(ood(corpus, severity=0, steps_per_utterance=1), generator=generator)
    with pytest.raises(SplitError, match=message):
        regenerate(split, corpus, TASKS["binary"])


def test_a_manifest_is_plain_json_without_nan(corpus, ood, tmp_path):
    split = ood(corpus)
    split.save(tmp_path / "split.json")
    text = (tmp_path / "split.json").read_text()
    assert "NaN" not in text
    assert json.loads(text) == split.to_json()
