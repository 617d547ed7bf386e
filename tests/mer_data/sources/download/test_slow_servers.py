"""Servers that are slow, silent or not there are left in time."""

import time

import requests
from download_corpus import assert_verified, refused
from file_server import nobody, redirecting, silent, trickling


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
