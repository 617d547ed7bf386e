"""A generated corpus that is large enough for a search: 240 utterances."""

import pytest
from builders import build_sample_stores

from mer_data.reports.inputs import NamedSplit
from mer_data.sources.sample import SampleSize, write_sample
from mer_data.splits import RepartitionSettings, repartition, standard_split
from mer_data.store.reader import FeatureStore
from mer_data.tasks import get_task


@pytest.fixture(scope="session")
def corpus_stores(tmp_path_factory):
    """The corpus as stores: {"aligned": path, "unaligned": path}."""
    folder = tmp_path_factory.mktemp("corpus")
    write_sample(folder / "raw", 0, SampleSize(num_videos=20, segments_per_video=12))
    return build_sample_stores(folder / "raw", folder)


@pytest.fixture(scope="session")
def store(corpus_stores):
    """The unaligned one, opened."""
    return FeatureStore.open(corpus_stores["unaligned"])


@pytest.fixture(scope="session")
def splits(store):
    """The standard folds, and a shifted split for each task."""
    origin = {"dataset": store.dataset, "utterance_digest": store.utterance_digest}
    made = [NamedSplit("standard", standard_split(store.utterances, **origin))]
    for task in ("binary", "seven"):
        settings = RepartitionSettings(min_count=5, label_tolerance=0.05, restarts=1)
        (manifest,) = repartition(
            store.utterances, **origin, task=get_task(task), settings=settings, severities=[0.5]
        )
        made.append(NamedSplit(f"ood_{task}", manifest))
    return made
