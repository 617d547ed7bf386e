"""Every fault of a server ends in a verified file, or in one clear error and no file."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from download_corpus import (
    COMMAND,
    NAME,
    assert_verified,
    locked,
    make_csd_bytes,
    parts,
    raw_names,
    sha256,
    target,
)
from file_server import answering, breaking, claiming, redirecting
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import SourceError
from mer_data.sources.download import DownloadError
from mer_data.workspace import Workspace

# --- what goes well ---


def test_a_file_is_fetched_verified_and_recorded(server, content, tone, fetch):
    address = server.add("/a/tone.csd", content)
    tone(address)
    (had,) = fetch()
    assert (had.state, had.recorded.origin, had.recorded.bytes) == ("fetched", address, len(content))
    assert_verified(content)
    assert locked()[NAME]["origin"] == address
    assert server.gets() == [None]


def test_a_file_that_is_there_is_verified_and_not_fetched(server, content, tone, fetch):
    tone(server.add("/tone.csd", content))
    fetch()
    (had,) = fetch()
    assert (had.state, len(server.gets())) == ("present", 1)
    fetch(force=True)
    assert len(server.gets()) == 2


def test_a_file_placed_by_hand_is_recorded_as_such(server, content, tone, fetch):
    tone(server.add("/tone.csd", content))
    target().parent.mkdir(parents=True)
    target().write_bytes(content)
    (had,) = fetch()
    assert (had.state, server.gets()) == ("present", [])
    assert locked()[NAME]["origin"] == "found in its place"


@pytest.mark.parametrize("sizes", [True, False])
def test_a_redirection_is_followed_and_a_length_is_not_needed(server, content, tone, fetch, sizes):
    server.sizes = sizes
    tone(server.add("/old", None, redirecting(server.add("/new.csd", content))))
    fetch()
    assert_verified(content)


def test_progress_reaches_the_size_of_the_file(server, content, tone, fetch):
    tone(server.add("/tone.csd", content))
    seen = []
    fetch(progress=lambda *values: seen.append(values))
    assert seen[-1] == (NAME, len(content), len(content))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


# --- the lock file ---


def test_a_file_that_the_publisher_replaced_is_an_error(server, content, tone, fetch, tmp_path):
    tone(server.add("/tone.csd", content))
    fetch()
    server.files["/tone.csd"] = make_csd_bytes(tmp_path / "o.csd", seed=1)
    with pytest.raises(DownloadError, match=r"is not the file that was recorded first in .*delete its entry"):
        fetch(force=True)
    assert_verified(content)


def test_a_file_that_changed_on_the_disk_is_an_error(server, content, tone, fetch):
    tone(server.add("/tone.csd", content))
    fetch()
    damaged = bytearray(content)
    damaged[-5000] ^= 1
    target().write_bytes(damaged)
    with pytest.raises(DownloadError, match=r"recorded first .* Pass --force to fetch it again"):
        fetch()
    fetch(force=True)
    assert_verified(content)


@pytest.mark.parametrize("text", ["{", '{"format": "other", "version": 1, "files": {}}', "[]"])
def test_a_damaged_lock_file_is_told(server, content, tone, fetch, text):
    tone(server.add("/tone.csd", content))
    Workspace("tiny").source_lock.write_text(text)
    with pytest.raises(SourceError, match=r"damaged lock file .* in .*sources\.lock\.json"):
        fetch()
    assert raw_names() == []


# --- room and company ---


def test_no_room_is_told_before_anything_is_written(server, content, tone, fetch):
    tone(server.add("/tone.csd", content))
    with pytest.raises(SourceError, match=r"not enough space on the disk .*: found .* GB, expected"):
        fetch(spare_bytes=1 << 60)
    assert (raw_names(), parts(), server.gets()) == ([], [], [])


def test_no_room_is_told_where_the_size_comes_with_the_file(server, content, tone, fetch, monkeypatch):
    from mer_data.sources.download import settings

    server.heads = False
    tone(server.add("/tone.csd", content))
    usage = settings.shutil.disk_usage(".")
    monkeypatch.setattr(settings.shutil, "disk_usage", lambda _: usage._replace(free=len(content) // 2))
    with pytest.raises(SourceError, match="not enough space"):
        fetch(spare_bytes=0)
    assert raw_names() == []


def test_two_downloads_at_once_in_two_threads(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, lambda handler, data: handler.serve(data, pause_s=0.1)))
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(fetch, slow_window_s=30) for _ in range(2)]
        states = [had.state for run in runs for had in run.result()]
    assert sorted(states) == ["fetched", "present"]
    assert_verified(content)
    assert len(server.gets()) == 1


def test_two_downloads_at_once_in_two_processes(server, content, tone, workspace_home):
    tone(server.add("/tone.csd", content, lambda handler, data: handler.serve(data, pause_s=0.3)))
    running = [subprocess.Popen([*COMMAND, "--json"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [json.loads(process.communicate(timeout=300)[0]) for process in running]
    assert sorted(output["files"][0]["state"] for output in outputs) == ["fetched", "present"]
    assert_verified(content)
    assert len(server.gets()) == 1


# --- whatever happens ---


MOODS = st.one_of(
    st.integers(0, 210_000).map(breaking),
    st.sampled_from([answering(code) for code in (403, 404, 416, 429, 500, 503)]),
    st.sampled_from([b"<html>no</html>", b"", b"{}", b"\x89HDF\r\n\x1a\n"]).map(
        lambda body: answering(200, body)
    ),
    st.integers(1, 400_000).map(claiming),
    st.just(redirecting("/elsewhere.csd")),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moods=st.lists(MOODS, max_size=6), ranges=st.booleans(), known=st.booleans(), etag=st.booleans())
def test_any_series_of_faults_ends_verified_or_with_one_error(
    server, content, tone, fetch, moods, ranges, known, etag
):
    shutil.rmtree(Workspace("tiny").root, ignore_errors=True)
    server.ranges, server.etag = ranges, '"one"' if etag else None
    server.moods.clear()
    tone(server.add("/tone.csd", content, *moods), **({"sha256": sha256(content)} if known else {}))
    try:
        fetch(attempts=2, read_timeout_s=0.3)
    except DownloadError:
        assert (raw_names(), locked()) == ([], {})
    else:
        assert_verified(content)
