"""Servers that answer with something else than the file."""

import gzip
import time

import pytest
from download_corpus import assert_verified, make_csd_bytes, parts, refused, sha256
from file_server import answering, breaking, claiming, ranging, redirecting, sending

from mer_data.sources.download import DownloadError


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


@pytest.mark.parametrize(
    "place",
    [
        "ftp://x.example/a",
        "gopher://x.example",
        "data:text/plain,x",
        "http://[::1",
        "x:\xff",
    ],
)
def test_a_redirection_out_of_the_web(server, tone, fetch, place):
    tone(server.add("/a", None, redirecting(place)))
    refused(fetch, "(redirected to something that is no web address)")


@pytest.fixture
def public(server, monkeypatch):
    """The name of a public server; the test's server is the proxy, so that nobody has to know the name."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return "http://public.invalid"


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "[::1]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0.0.0.0",
    ],
)
def test_a_redirection_from_a_public_address_into_a_private_network(
    server, public, content, tone, fetch, inside
):
    server.add(f"http://{inside}/tone.csd", content)
    server.add(f"{public}/tone.csd", None, redirecting(f"http://{inside}/tone.csd"))
    tone(f"{public}/tone.csd")
    refused(fetch, f"redirected from a public address into a private network, to {inside.strip('[]')}")
    assert server.gets() == [None]


def test_a_name_that_means_a_private_address_is_one(server, public, content, tone, fetch, monkeypatch):
    from ipaddress import ip_address

    known = {"public.invalid": "8.8.8.8", "files.invalid": "10.0.0.1", "mirror.invalid": "1.1.1.1"}
    monkeypatch.setattr(
        "mer_data.sources.download.session.addresses_of", lambda host: [ip_address(known[host])]
    )
    for name in ("files", "mirror"):
        server.add(f"http://{name}.invalid/tone.csd", content)
        server.add(f"{public}/{name}", None, redirecting(f"http://{name}.invalid/tone.csd"))
    tone(f"{public}/files")
    refused(fetch, "into a private network, to files.invalid")
    tone(f"{public}/mirror")
    fetch()
    assert_verified(content)


def test_the_body_of_a_redirection_is_not_read(server, content, tone, fetch):
    """An endless one would fill the memory."""
    body = b"HTTP/1.1 302 Found\r\nLocation: /tone.csd\r\n\r\n"
    server.add("/tone.csd", content)
    tone(server.add("/old", None, sending(body, b"x" * 1000, pause_s=0.02, at_most_s=5)))
    start = time.monotonic()
    fetch()
    assert time.monotonic() - start < 3
    assert_verified(content)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_encoded_content_is_stored_decoded(server, content, tone, fetch, name, sizes):
    packed = gzip.compress(content[:1000]) + gzip.compress(content[1000:])
    server.sizes = sizes

    def encoded(handler, _):
        handler.start(200, len(packed) if sizes else None, Content_Encoding=name)
        handler.wfile.write(packed)

    tone(server.add("/tone.csd", packed, encoded))
    fetch(attempts=1)
    assert_verified(content)


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, gzip", "x" * 500])
def test_an_encoding_that_is_not_read_is_told(server, content, tone, fetch, name):
    tone(
        server.add("/tone.csd", None, answering(200, content, Content_Encoding=name)),
        server.add("/b", content),
    )
    (had,) = fetch()
    assert had.recorded.origin.endswith("/b")
    tone(server.add("/tone.csd", None, answering(200, content, Content_Encoding=name)))
    with pytest.raises(DownloadError, match=rf"the content comes encoded as {name[:40]}\)"):
        fetch(force=True)


def test_encoded_content_that_breaks_off_begins_anew(server, content, tone, fetch):
    packed = gzip.compress(content)
    broken = answering(200, packed[: len(packed) // 2], Content_Encoding="gzip")
    tone(server.add("/tone.csd", content, broken))
    fetch(attempts=2)
    assert_verified(content)
    assert server.gets() == [None, None]


def test_content_that_is_not_what_its_encoding_says(server, content, tone, fetch):
    tone(server.add("/tone.csd", None, answering(200, content, Content_Encoding="gzip")))
    refused(fetch, "(the content is said to be gzip, and is not)")
    assert parts() == []


def test_a_bomb_in_encoded_content_is_not_written(server, tone, fetch):
    """A gigabyte of zeros in a megabyte: more than the published size ends it."""
    bomb = gzip.compress(bytes(1 << 26))
    tone(server.add("/tone.csd", None, answering(200, bomb, Content_Encoding="gzip")), bytes=200_000)
    refused(fetch, "(more than the 200000 bytes of the file)")
    assert parts() == []


def test_an_encoded_range_is_not_appended(server, content, tone, fetch):
    tone(server.add("/tone.csd", content, *[breaking(90_000)] * 2))
    refused(fetch, attempts=1)
    server.moods["/tone.csd"] = [ranging(Content_Encoding="gzip", ETag='"one"')]
    fetch(attempts=1)
    assert_verified(content)


def test_a_body_without_length_or_end_stops_before_the_disk_is_full(server, tone, fetch, monkeypatch):
    """Neither the catalogue nor the server says how much will come."""
    from mer_data.sources.download import settings

    usage = settings.shutil.disk_usage(".")
    sent = 0

    def disk(_):
        return usage._replace(free=(1 << 27) - sent)

    def endless(handler, _):
        nonlocal sent
        handler.start(200, None)
        while True:
            handler.wfile.write(bytes(1 << 20))
            sent += 1 << 20

    monkeypatch.setattr(settings.shutil, "disk_usage", disk)
    tone(server.add("/tone.csd", None, endless))
    refused(fetch, "(no length is stated, and after ", "the disk has no room)", spare_bytes=0)
    assert sent < 1 << 27
    assert parts() == []


def test_a_length_of_a_thousand_digits_is_none(server, content, tone, fetch):
    def claim(handler, data):
        handler.send_response(200)
        handler.send_header("Content-Length", "9" * 1000)
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True

    tone(server.add("/tone.csd", content, claim))
    fetch()
    assert_verified(content)


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
