"""Servers that answer with something else than the file."""

import time

import pytest
from download_corpus import assert_verified, make_csd_bytes, parts, refused, sha256
from file_server import answering, claiming, redirecting


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
    refused(fetch, "the computational sequence is not an HDF5 file")


def test_a_length_shorter_than_the_file(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[claiming(len(content) // 2)] * 50))
    refused(fetch, "the computational sequence is truncated")
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
