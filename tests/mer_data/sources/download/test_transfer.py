"""Every fault of a server ends in a verified file, or in one clear error and no file."""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from download_corpus import FACE, NAME, TONE, describe_corpus, make_csd_bytes, parts, raw_names, sha256
from file_server import answering, breaking, claiming, nobody, redirecting, silent, trickling
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mer_data.errors import SourceError
from mer_data.sources.download import DownloadError
from mer_data.workspace import Workspace

COMMAND = [sys.executable, "-c", "from mer_data.commands import main; main()", "download", "tiny"]


def target():
    return Workspace("tiny").raw / NAME


def locked():
    path = Workspace("tiny").source_lock
    return json.loads(path.read_text())["files"] if path.exists() else {}


def assert_verified(content):
    """The file is in its place, recorded, and nothing else lies around."""
    assert target().read_bytes() == content
    assert locked()[NAME]["sha256"] == f"sha256:{sha256(content)}"
    assert locked()[NAME]["bytes"] == len(content)
    assert (raw_names(), parts()) == ([NAME], [])


def refused(fetch, *messages, **options):
    """The download ends in one error with a line for the file, and no file under its name."""
    with pytest.raises(DownloadError) as caught:
        fetch(**options)
    first, *lines = str(caught.value).split("\n")
    raw = Workspace("tiny").raw
    assert first.startswith("1 of 1 files of tiny could not be had")
    assert f"put them into {raw} under any name and run `mer-data import {raw}`" in first
    (line,) = lines
    assert line.startswith(f"  {NAME}: http")
    for message in messages:
        assert message in line
    assert (raw_names(), locked()) == ([], {})
    return caught.value


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


# --- breaks ---


def test_a_file_broken_off_in_the_middle_goes_on_where_it_broke(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, breaking(100_000)))
    fetch()
    assert_verified(content)
    assert server.gets() == [None, "bytes=100000-"]


def test_breaks_that_bring_something_are_not_counted(server, content, tone, fetch):
    stops = range(20_000, 160_000, 20_000)
    tone(server.add("/tone.csd", content, *map(breaking, stops)))
    fetch(attempts=1)
    assert_verified(content)
    assert server.gets() == [None, *(f"bytes={stop}-" for stop in stops)]


def test_without_ranges_every_attempt_begins_anew_and_ends(server, content, tone, fetch):
    server.ranges = False
    tone(server.add("/tone.csd", content, breaking(50_000), breaking(60_000)))
    fetch()
    assert_verified(content)
    assert len(server.gets()) == 3


def test_without_ranges_equal_breaks_are_no_progress(server, content, tone, fetch):
    server.ranges = False
    tone(server.add("/tone.csd", content, *[breaking(50_000)] * 50))
    refused(fetch, "(the connection broke at 50000 of ", attempts=3)
    assert len(server.gets()) <= 4


def test_what_arrived_is_kept_for_the_next_command(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, f"(the connection broke at 90000 of {len(content)} bytes", attempts=1)
    assert any(name.endswith(".part") for name in parts())
    fetch()
    assert_verified(content)
    assert server.gets()[-1] == "bytes=90000-"


def test_a_file_that_changed_since_the_break_is_fetched_anew(server, content, tone, fetch, tmp_path):
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    server.files["/tone.csd"], server.etag = other, '"two"'
    fetch()
    assert_verified(other)


def test_parts_of_two_versions_never_become_one_file(server, content, tone, fetch, tmp_path):
    """Without a tag of the server, a part of another version makes a file that is not accepted."""
    server.etag = None
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2), sha256=sha256(content))
    refused(fetch, attempts=1)
    (part,) = (Workspace("tiny").raw / ".download").glob("*.part")
    part.write_bytes(bytes(50_000))
    fetch(attempts=2)
    assert_verified(content)


def test_a_part_longer_than_the_file_is_dropped(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    (part,) = (Workspace("tiny").raw / ".download").glob("*.part")
    part.write_bytes(bytes(len(content) + 5))
    fetch()
    assert_verified(content)


def test_a_finished_part_needs_no_server(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    (part,) = (Workspace("tiny").raw / ".download").glob("*.part")
    part.write_bytes(content)
    before = len(server.gets())
    fetch()
    assert_verified(content)
    assert len(server.gets()) == before


def test_a_mirror_never_goes_on_with_the_bytes_of_another(server, content, tone, fetch, tmp_path):
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    first = server.add("/first.csd", content, *[breaking(90_000)] * 9)
    tone(first, server.add("/second.csd", other))
    (had,) = fetch(attempts=1, progress_bytes=1 << 30)
    assert had.recorded.origin.endswith("/second.csd")
    assert server.gets("/second.csd") == [None]
    assert_verified(other)


def test_with_a_known_checksum_it_does(server, content, tone, fetch):
    first = server.add("/first.csd", content, *[breaking(90_000)] * 9)
    tone(first, server.add("/second.csd", content), sha256=sha256(content))
    fetch(attempts=1, progress_bytes=1 << 30)
    assert server.gets("/second.csd") == ["bytes=90000-"]
    assert_verified(content)


# --- wrong answers ---


def test_404_on_the_first_mirror(server, content, tone, fetch):
    tone(f"{server.url}/none.csd", server.add("/tone.csd", content))
    fetch()
    assert_verified(content)
    assert len(server.gets("/none.csd")) == 1


def test_404_everywhere_is_final(server, tone, fetch):
    tone(f"{server.url}/none.csd", f"{server.url}/nor.csd")
    refused(fetch, f"{server.url}/none.csd (404 Not Found); {server.url}/nor.csd (404 Not Found)")
    assert len(server.gets()) == 2


def test_503_then_success(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, answering(503), answering(503)))
    fetch()
    assert_verified(content)


def test_a_server_that_asks_to_wait_is_given_time(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, answering(429, Retry_After="1")))
    start = time.monotonic()
    fetch(max_backoff_s=0.3)  # the patience has an end
    assert 0.3 <= time.monotonic() - start < 3
    assert_verified(content)


def test_503_for_ever(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[answering(503)] * 50))
    refused(fetch, "503 Service Unavailable", attempts=3)
    assert len(server.gets()) == 3


def test_a_redirect_loop(server, tone, fetch):
    tone(server.add("/a", None, *[redirecting("/a")] * 50))
    refused(fetch, "(redirected in a circle)")
    assert len(server.gets()) == 6


def test_a_redirection_to_a_file_of_this_machine(server, tone, fetch):
    tone(server.add("/a", None, redirecting("file:///etc/hostname")))
    refused(fetch, "redirected to something that is no web address")


@pytest.mark.parametrize("head", [b"<!DOCTYPE html><p>Sorry", b"\n <html><body>Log in"])
def test_a_web_page_under_the_name_of_a_csd(server, tone, fetch, head):
    tone(server.add("/tone.csd", head + b"x" * 5000))
    refused(fetch, "(a web page instead of the file)")
    assert (len(server.gets()), parts()) == (1, [])


def test_a_web_page_on_the_first_mirror(server, content, tone, fetch):
    tone(server.add("/page.csd", b"<html>moved</html>"), server.add("/tone.csd", content))
    fetch()
    assert_verified(content)


def test_an_error_in_json_with_status_200(server, tone, fetch):
    tone(server.add("/tone.csd", b'{"error": "quota"}'))
    refused(fetch, "not a readable computational sequence (truncated or not HDF5)")


def test_a_length_shorter_than_the_file(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[claiming(len(content) // 2)] * 50))
    refused(fetch, "truncated or not HDF5")
    assert parts() == []


def test_a_length_longer_than_the_file(server, content, tone, fetch):
    server.ranges = False
    tone(server.add("/tone.csd", content, *[claiming(len(content) + 999)] * 50))
    refused(fetch, f"(the connection broke at {len(content)} of {len(content) + 999} bytes", attempts=2)


def test_another_length_than_the_published_one(server, content, tone, fetch):
    tone(server.add("/tone.csd", content), bytes=len(content) + 1)
    refused(fetch, f"(wrong length, {len(content)} bytes instead of {len(content) + 1})")
    server.sizes = False
    refused(fetch, "wrong size")


def test_more_bytes_than_published_are_not_written(server, content, tone, fetch):
    server.sizes = False
    tone(server.add("/tone.csd", content), bytes=1000)
    refused(fetch, "(more than the 1000 bytes of the file)")
    assert parts() == []


def test_a_wrong_checksum(server, content, tone, fetch):
    tone(server.add("/tone.csd", content), sha256="0" * 64)
    refused(fetch, "wrong checksum", f"found sha256:{sha256(content)}, expected sha256:0000")
    assert (parts(), len(server.gets())) == ([], 1)


def test_a_wrong_checksum_on_the_first_mirror(server, content, tone, fetch, tmp_path):
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    tone(server.add("/other.csd", other), server.add("/tone.csd", content), sha256=sha256(content))
    fetch()
    assert_verified(content)


def test_another_feature_set_under_the_name(server, tone, fetch, tmp_path):
    tone(server.add("/tone.csd", make_csd_bytes(tmp_path / "o.csd", root="Sample Face")))
    refused(fetch, "another feature set than tone", "found root 'Sample Face', expected 'Sample Tone'")


# --- slowness ---


def test_a_slow_trickle_ends(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[trickling()] * 50))
    start = time.monotonic()
    refused(fetch, "(too slow, ", attempts=2)
    assert time.monotonic() - start < 3


def test_silence_ends(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[silent(1.5)] * 50))
    refused(fetch, "(no answer in time at 0 of ", attempts=2, read_timeout_s=0.3)


def test_a_slow_mirror_is_left_for_a_good_one(server, content, tone, fetch):
    tone(server.add("/slow.csd", content, *[trickling()] * 9), server.add("/tone.csd", content))
    (had,) = fetch()
    assert had.recorded.origin.endswith("/tone.csd")
    assert_verified(content)


def test_nobody_listens(tone, fetch):
    tone(f"{nobody()}/tone.csd")
    refused(fetch, "(Connection refused)")


def test_a_server_that_takes_no_connection_is_asked_once_in_each_round(
    server, content, tone, fetch, monkeypatch
):
    """Three addresses of a dead server cost the patience of one; those of others are asked."""
    asked = []
    get = requests.Session.get
    monkeypatch.setattr(
        requests.Session,
        "get",
        lambda self, address, **more: asked.append(address) or get(self, address, **more),
    )
    dead = nobody()
    tone(f"{dead}/a.csd", f"{dead}/b.csd", f"{server.url}/none.csd", f"{dead}/c.csd")
    refused(fetch, *(f"{dead}/{name}.csd (Connection refused)" for name in "abc"), attempts=3)
    assert asked == [f"{dead}/a.csd", f"{server.url}/none.csd", f"{dead}/a.csd", f"{dead}/a.csd"]
    tone(f"{dead}/a.csd", server.add("/tone.csd", content))
    fetch()
    assert_verified(content)


def test_a_dead_server_behind_a_redirection_keeps_no_other_address_from_being_asked(
    server, content, tone, fetch
):
    away = server.add("/away.csd", None, *[redirecting(f"{nobody()}/x.csd")] * 9)
    tone(away, server.add("/tone.csd", content))
    (had,) = fetch(attempts=1)
    assert had.recorded.origin.endswith("/tone.csd")


def test_a_name_that_nobody_knows(tone, fetch):
    tone("http://no-such-host.invalid/tone.csd")
    refused(fetch, "http://no-such-host.invalid/tone.csd (")


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
    from mer_data.sources.download import space

    server.heads = False
    tone(server.add("/tone.csd", content))
    usage = space.shutil.disk_usage(".")
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage._replace(free=len(content) // 2))
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


def test_a_killed_download_leaves_no_file_and_the_next_goes_on(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, lambda handler, data: handler.serve(data, pause_s=0.5)))
    process = subprocess.Popen(COMMAND)
    limit = time.monotonic() + 300
    while time.monotonic() < limit and not any(name.endswith(".part") for name in parts()):
        time.sleep(0.02)
    time.sleep(0.7)
    process.kill()
    process.wait()
    assert raw_names() == []
    fetch()
    assert_verified(content)
    assert server.gets()[-1].startswith("bytes=")


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


def test_the_users_end_ends_all_files_and_the_next_command_goes_on(server, content, fetch, tmp_path):
    face = make_csd_bytes(tmp_path / "face.csd", root="Sample Face")
    slow = server.add("/face.csd", face, trickling(pause_s=0.01, piece=64))
    describe_corpus(TONE | {"addresses": [server.add("/tone.csd", content)]}, FACE | {"addresses": [slow]})

    def end(name, done, total):
        if name == NAME:
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(progress=end, slow_window_s=60)
    assert time.monotonic() - start < 5
    assert raw_names() == []
    assert len(fetch()) == 2
    assert target().read_bytes() == content
