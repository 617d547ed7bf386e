"""Files of the hub, fetched by the hub's own client from a hub on loopback."""

import json
import time
from types import SimpleNamespace

import pytest
from download_corpus import FACE, TONE, describe_corpus, make_csd_bytes, raw_names, sha256
from file_server import breaking, nobody

from mer_data.sources.download import DownloadError
from mer_data.workspace import Workspace

REPOSITORY, FOLDER = "someone/data", "OOD/binary"
TREE = f"/api/datasets/{REPOSITORY}/tree/main/OOD%2Fbinary?recursive=false&expand=false"


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)


@pytest.fixture
def hub(server, content):
    """A repository with files of some names; the corpus names one of them by a pattern."""
    file = TONE | {"path": f"{FOLDER}/*_aligned.csd"}
    own = {"name": "own", "title": "Own", "via": "hub", "repository": REPOSITORY, "files": [file]}
    describe_corpus(collections=[own])
    server.headers = {"X-Repo-Commit": "a" * 40}
    server.etag = f'"{sha256(content)}"'

    def offer(*names, **lies):
        stated = {"size": len(content), "sha256": sha256(content)} | lies
        entries = [
            {
                "type": "file",
                "path": f"{FOLDER}/{name}",
                "size": stated["size"],
                "oid": "b" * 40,
                "lfs": {"oid": stated["sha256"], "size": stated["size"], "pointerSize": 130},
            }
            for name in names
        ]
        server.files[TREE] = json.dumps(entries).encode()
        for name in names:
            server.files[f"/datasets/{REPOSITORY}/resolve/main/{FOLDER}/{name}"] = content
        return server

    return offer


def refused(fetch, server, message):
    with pytest.raises(DownloadError) as caught:
        fetch(hub_endpoint=server.url)
    _, line = str(caught.value).splitlines()
    assert line.startswith(f"  tone.csd: hub:{REPOSITORY}/{FOLDER}/*_aligned.csd (")
    assert message in line
    assert raw_names() == []


def test_a_file_is_found_by_its_pattern_and_verified(hub, content, fetch):
    server = hub("X_aligned.csd", "X_unaligned.csd")
    seen = []
    (had,) = fetch(hub_endpoint=server.url, progress=lambda *values: seen.append(values))
    assert had.recorded.origin == f"hub:{REPOSITORY}/{FOLDER}/X_aligned.csd"
    assert (Workspace("tiny").raw / "tone.csd").read_bytes() == content
    assert seen[-1] == ("tone.csd", len(content), len(content))
    assert [had.state for had in fetch(hub_endpoint=server.url)] == ["present"]


def test_a_break_is_mended_by_the_hubs_client(hub, content, fetch):
    server = hub("X_aligned.csd")
    path = f"/datasets/{REPOSITORY}/resolve/main/{FOLDER}/X_aligned.csd"
    server.moods[path] = [breaking(90_000)]
    fetch(hub_endpoint=server.url)
    assert (Workspace("tiny").raw / "tone.csd").read_bytes() == content
    assert len(server.gets(path)) == 2


@pytest.mark.parametrize(
    ("names", "num"), [(("X_unaligned.csd",), 0), (("X_aligned.csd", "Y_aligned.csd"), 2)]
)
def test_a_pattern_must_mean_one_file(hub, fetch, names, num):
    refused(fetch, hub(*names), f"means {num} files")


def test_a_checksum_that_the_hub_states_is_compared(hub, fetch):
    refused(fetch, hub("X_aligned.csd", sha256="0" * 64), "wrong checksum")


def test_a_repository_that_is_not_there(hub, fetch, server):
    refused(fetch, server, "404")


def test_offline_is_told(hub, fetch, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused(fetch, hub("X_aligned.csd"), "offline mode is enabled")


def describe_two():
    """The corpus with two files of the repository."""
    files = [known | {"path": f"{FOLDER}/{known['name']}"} for known in (TONE, FACE)]
    own = {"name": "own", "title": "Own", "via": "hub", "repository": REPOSITORY, "files": files}
    describe_corpus(collections=[own])


def test_a_hub_that_does_not_answer_is_told_soon_for_every_file(fetch, capfd):
    describe_two()
    start = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        fetch(hub_endpoint=nobody())
    assert time.monotonic() - start < 10
    assert [list(failure.reasons.values()) for failure in caught.value.failures] == [
        ["Connection refused"]
    ] * 2
    assert str(caught.value).count(f"hub:{REPOSITORY}/{FOLDER}/") == 2
    assert capfd.readouterr() == ("", "")


def test_the_hubs_client_serves_one_file_at_a_time(fetch, server, monkeypatch):
    """It closes the connections of all threads where one fails."""
    describe_two()
    busy, most = 0, 0

    def download(repository, path, *, local_dir, **_):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        time.sleep(0.1)
        busy -= 1
        local_dir.mkdir(parents=True, exist_ok=True)
        make_csd_bytes(local_dir / "part", root="Sample Face" if path.endswith("face.csd") else "Sample Tone")
        return local_dir / "part"

    monkeypatch.setattr(
        "mer_data.sources.download.hub._find",
        lambda api, repository, path: SimpleNamespace(path=path, size=None, lfs=None),
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert [had.state for had in fetch(hub_endpoint=server.url)] == ["fetched", "fetched"]
    assert most == 1


def test_the_users_end_ends_a_file_of_the_hub(hub, fetch):
    server = hub("X_aligned.csd")

    def end(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(hub_endpoint=server.url, progress=end)
    assert raw_names() == []
    fetch(hub_endpoint=server.url)
    assert raw_names() == ["tone.csd"]
