"""A download that broke off, at whichever end, goes on where it can and never mixes two files."""

import subprocess
import time

import pytest
from download_corpus import (
    COMMAND,
    FACE,
    NAME,
    TONE,
    assert_verified,
    describe_corpus,
    make_csd_bytes,
    parts,
    raw_names,
    refused,
    sha256,
    target,
)
from file_server import answering, breaking, ranging, trickling

from mer_data.workspace import Workspace


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


@pytest.mark.parametrize("tag", ['"two"', 'W/"one"', None])
def test_a_range_of_another_version_or_of_none_is_not_appended(server, content, tone, fetch, tmp_path, tag):
    """The server ignores If-Range and sends the end of another file of the same length."""
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    assert len(other) == len(content)
    server.files["/tone.csd"], server.etag = other, '"two"'
    server.moods["/tone.csd"] = [ranging(**({"ETag": tag} if tag else {}))]
    fetch(attempts=1)
    assert_verified(other)
    assert server.gets()[-2:] == ["bytes=90000-", None]


def test_a_range_of_another_date_is_not_appended(server, content, tone, fetch, tmp_path):
    server.etag, server.headers = None, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    server.files["/tone.csd"], server.headers = other, {}
    server.moods["/tone.csd"] = [ranging(Last_Modified="Tue, 02 Jan 2024 00:00:00 GMT")]
    fetch(attempts=1)
    assert_verified(other)


def test_a_file_of_the_same_date_goes_on(server, content, tone, fetch):
    server.etag, server.headers = None, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    server.moods["/tone.csd"] = [ranging()]
    fetch(attempts=1)
    assert_verified(content)
    assert server.gets()[-1] == "bytes=90000-"


def test_without_tag_date_and_checksum_a_part_is_not_gone_on_with(server, content, tone, fetch, tmp_path):
    server.etag = None
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    other = make_csd_bytes(tmp_path / "o.csd", seed=1)
    server.files["/tone.csd"] = other
    fetch(attempts=1)
    assert_verified(other)
    assert server.gets()[-1] is None


@pytest.mark.parametrize(
    "span",
    ["bytes 0-9/10", "bytes 90000-90010/{size}", "bytes 90000-{last}/{more}", "none", "bytes 9" + "0" * 5000],
)
def test_a_range_that_does_not_fit_is_not_appended(server, content, tone, fetch, span):
    size = len(content)
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    told = span.format(size=size, last=size - 1, more=size + 1)
    server.moods["/tone.csd"] = [ranging(Content_Range=told, ETag='"one"')]
    fetch(attempts=1)
    assert_verified(content)
    assert server.gets()[-1] is None


def test_a_range_that_nobody_asked_for_is_no_file(server, content, tone, fetch):
    half = answering(206, content[:1000], Content_Range=f"bytes 0-999/{len(content)}")
    tone(server.add("/tone.csd", content, half))
    refused(fetch, "(206 Partial Content)", attempts=1)
    assert parts() == []


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
