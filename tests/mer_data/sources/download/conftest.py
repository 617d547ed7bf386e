"""A corpus of one or two files on a server of its own, and an impatient download."""

import pytest
from download_corpus import TONE, describe_corpus, make_csd_bytes
from file_server import running

from mer_data.sources.download import DownloadSettings, download, plan_download

IMPATIENT = {
    "backoff_s": 0.01,
    "connect_timeout_s": 2.0,
    "read_timeout_s": 1.0,
    "slow_window_s": 0.2,
    "progress_bytes": 1 << 14,
}


@pytest.fixture
def server():
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    """The file."""
    return make_csd_bytes(tmp_path_factory.mktemp("csd") / "tone.csd")


@pytest.fixture
def tone():
    """Describe the corpus with one file at some addresses."""
    return lambda *addresses, **keys: describe_corpus(TONE | {"addresses": list(addresses)} | keys)


@pytest.fixture
def fetch():
    """Download the corpus, with little patience."""

    def run(*only, mirror=None, force=False, progress=None, **patience):
        settings = DownloadSettings(**IMPATIENT | patience)
        return download(plan_download("tiny", only, mirror), settings, force=force, progress=progress)

    return run
