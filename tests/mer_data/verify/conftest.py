"""Small stores to damage, and a whole dataset folder around them."""

import json
import shutil
from itertools import pairwise

import h5py
import numpy as np
import pytest
from builders import build_sample_stores

from mer_data.sources.sample import SampleSize, write_sample
from mer_data.splits import RepartitionSettings, repartition, standard_split
from mer_data.statistics.class_statistics import ClassStatistics
from mer_data.statistics.vocabulary import counterfactual_vocabulary
from mer_data.store.digests import content_digest, utterance_digest
from mer_data.store.reader import FeatureStore
from mer_data.tasks import TASKS
from mer_data.verify import verify_split, verify_store


@pytest.fixture(scope="session")
def small_source(tmp_path_factory):
    """4 videos of 8 segments."""
    folder = tmp_path_factory.mktemp("small")
    write_sample(folder, 0, SampleSize(4, 8))
    return folder


@pytest.fixture(scope="session")
def small_stores(small_source, tmp_path_factory):
    """The small corpus as stores: {"aligned": path, "unaligned": path}."""
    folder = tmp_path_factory.mktemp("small_stores")
    return build_sample_stores(small_source, folder)


@pytest.fixture
def seal():
    """Give an edited store the digests of its content, so that other checks are on their own."""

    def run(path):
        store = FeatureStore.open(path)
        digest = utterance_digest(store.utterances)
        store.close()
        with h5py.File(path, "r+") as file:
            file.attrs["utterance_digest"] = digest
            file.attrs["content_digest"] = content_digest(file)

    return run


@pytest.fixture
def edited(small_stores, tmp_path, seal):
    """A copy of a store, changed by a function of the open file; ``sealed`` mends its digests after."""

    def run(change, *, alignment="unaligned", sealed=True):
        path = shutil.copy(small_stores[alignment], tmp_path / "edited.h5")
        with h5py.File(path, "r+") as file:
            change(file)
        if sealed:
            seal(path)
        return path

    return run


@pytest.fixture
def set_strings():
    """Replace a string column of an open store."""

    def run(file, name, strings):
        raw = [text.encode() for text in strings]
        for part, values in (
            ("values", np.frombuffer(b"".join(raw), np.uint8)),
            ("offsets", np.cumsum([0, *map(len, raw)])),
        ):
            file[f"{name}_{part}"].resize(len(values), axis=0)
            file[f"{name}_{part}"][:] = values

    return run


@pytest.fixture
def words_of():
    """Words and times of every utterance of an open store."""

    def run(file):
        raw = bytes(file["words/token_values"][()])
        borders = file["words/token_offsets"][()]
        tokens = [raw[a:b].decode() for a, b in pairwise(borders)]
        offsets = file["words/offsets"][()]
        return [(tokens[a:b], file["words/times"][a:b]) for a, b in pairwise(offsets)]

    return run


@pytest.fixture
def set_words(set_strings):
    """Replace words and, with them, the texts of an open store; the pieces stay as they are."""

    def run(file, rows):
        set_strings(file, "words/token", [token for tokens, _ in rows for token in tokens])
        times = np.concatenate([times for _, times in rows])
        file["words/times"].resize(len(times), axis=0)
        file["words/times"][:] = times
        file["words/offsets"][:] = np.cumsum([0, *(len(tokens) for tokens, _ in rows)])
        set_strings(file, "utterances/text", [" ".join(tokens) for tokens, _ in rows])

    return run


@pytest.fixture
def found_in():
    """Check names of a store's findings, of one level or all."""

    def run(path, level="error"):
        return {finding.check for finding in verify_store(path) if level in (None, finding.level)}

    return run


@pytest.fixture(scope="session")
def _dataset_template(small_stores, tmp_path_factory):
    """A dataset's folder: two stores, a split, statistics, a vocabulary."""
    root = tmp_path_factory.mktemp("workspace") / "sample"
    for folder in ("raw", "store", "splits", "statistics"):
        (root / folder).mkdir(parents=True)
    for alignment, path in small_stores.items():
        shutil.copy(path, root / "store" / f"{alignment}.h5")
    store = FeatureStore.open(root / "store/unaligned.h5")
    split = standard_split(store.utterances, dataset="sample", utterance_digest=store.utterance_digest)
    split.save(root / "splits/standard.json")
    task = TASKS["binary"]
    vocabulary = counterfactual_vocabulary(store, split, task, size=20)
    vocabulary.save(root / "statistics/unaligned.standard.binary.vocabulary.csv")
    rows = split.indices(store.utterances["id"])["train"]
    classes = task.class_of(store.utterances["label"].to_numpy()[rows])
    count = {
        name: np.bincount(classes[lengths[rows] > 0], minlength=3).astype(np.int64)
        for name, lengths in (
            ("text", store.lengths("tokens")),
            ("audio", store.lengths("audio")),
            ("vision", store.lengths("vision")),
        )
    }
    means = {
        name: np.ones((3, width), np.float32)
        for name, width in (("text", 16), ("audio", store.width("audio")), ("vision", store.width("vision")))
    }
    origin = {"store_content": store.content_digest, "split": split.digest, "text_encoder": "none"}
    statistics = ClassStatistics("binary", np.bincount(classes, minlength=3), means, count, origin)
    statistics.save(root / "statistics/unaligned.standard.binary.none.h5")
    store.close()
    return root


@pytest.fixture
def dataset(_dataset_template, workspace_home):
    """A copy of that folder in the workspace of this test."""
    return shutil.copytree(_dataset_template, workspace_home / "sample")


@pytest.fixture
def edit_json():
    """Change a JSON file by a function of its value."""

    def run(path, change):
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))
        return path

    return run


@pytest.fixture
def split(dataset):
    return dataset / "splits/standard.json"


@pytest.fixture
def found(dataset):
    """Findings on a split beside the stores of the dataset, by check."""

    def run(path, **options):
        with_stores = [FeatureStore.open(store) for store in sorted((dataset / "store").glob("*.h5"))]
        findings = verify_split(path, with_stores, **options)
        for store in with_stores:
            store.close()
        return {finding.check: finding for finding in findings}

    return run


@pytest.fixture
def searched(dataset):
    """A split that was searched for in the store."""
    store = FeatureStore.open(dataset / "store/unaligned.h5")
    (manifest,) = repartition(
        store.utterances,
        dataset="sample",
        utterance_digest=store.utterance_digest,
        task=TASKS["binary"],
        settings=RepartitionSettings(min_count=3, label_tolerance=0.2, steps_per_utterance=5),
    )
    store.close()
    path = dataset / "splits/searched.json"
    manifest.save(path)
    return path
