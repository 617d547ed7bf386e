"""Servers that are slow, silent or not there are left in time."""

import time

import pytest
import requests
from download_corpus import assert_verified, refused
from file_server import nobody, redirecting, sending, silent, trickling


def test_a_slow_trickle_ends(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[trickling()] * 50))
    start = time.monotonic()
    refused(fetch, "(too slow, ", attempts=2)
    assert time.monotonic() - start < 3


def test_silence_ends(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[silent(1.5)] * 50))
    refused(fetch, "(no answer in time at 0 of ", attempts=2, read_timeout_s=0.3)


OK, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (b"H",),
        (OK, b"X-Header: 1\r\n"),
        (OK + b"X-Header: ", b"x"),
        (CHUNKED + b"5;", b"x"),
        (CHUNKED + b"0\r\n", b"x"),
    ],
    ids=["status", "headers", "header", "size of a chunk", "trailer"],
)
def test_headers_that_drip_end_in_the_time_of_one_answer(server, tone, fetch, pieces):
    """Each byte comes well within the time that a read may take; all of them together never end."""
    tone(server.add("/tone.csd", None, sending(*pieces, pause_s=0.05)))
    start = time.monotonic()
    refused(fetch, "(too slow, ", attempts=1, read_timeout_s=5.0)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "pieces",
    [(b"HTTP/1.1 100 Continue\r\n\r\n" * 999,), (CHUNKED + b"0\r\n", b"x: 1\r\n" * 9999)],
    ids=["100", "trailers"],
)
def test_headers_without_end_end(server, tone, fetch, pieces):
    tone(server.add("/tone.csd", None, sending(*pieces)))
    start = time.monotonic()
    refused(fetch, "(headers without end", attempts=1)
    assert time.monotonic() - start < 5


def test_headers_that_drip_keep_no_size_from_being_unknown(server, tone):
    """A HEAD request is bounded, too."""
    from mer_data.sources.download import DownloadSettings, file_sizes, plan_download

    tone(server.add("/tone.csd", None))
    server.head_moods["/tone.csd"] = [sending(OK, b"X: 1\r\n", pause_s=0.05)]
    start = time.monotonic()
    settings = DownloadSettings(slow_window_s=0.2, read_timeout_s=5.0)
    assert file_sizes(plan_download("tiny"), settings) == {"tone.csd": None}
    assert time.monotonic() - start < 3


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
