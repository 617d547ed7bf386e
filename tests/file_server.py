"""A real HTTP server on loopback that can be told to misbehave, request by request."""

import itertools
import re
import socket
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` (path to bytes); ``moods`` of a path are used up one by one before it behaves.

    A mood is a function of the handler and the bytes. ``requests`` has (method, path, Range header);
    ``headers`` are sent with every answer.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.moods, self.requests = {}, defaultdict(list), []
        self.head_moods = defaultdict(list)
        self.ranges, self.heads, self.sizes = True, True, True
        self.etag, self.headers = '"one"', {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, path, content, *moods):
        """Serve ``content`` at ``path``; its address."""
        self.files[path] = content
        self.moods[path] += moods
        return f"{self.url}{path}"

    def gets(self, path=None):
        """The Range headers of every GET so far."""
        return [asked for method, at, asked in self.requests if method == "GET" and path in (None, at)]

    def handle_error(self, request, client_address):
        """A client that hangs up is no matter."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._note()
        content, moods = self.server.files.get(self.path), self.server.head_moods[self.path]
        if moods:
            moods.pop(0)(self, content)
        elif not self.server.heads:
            self.send_error(501)
        elif content is None:
            self.send_error(404)
        else:
            self.start(200, len(content) if self.server.sizes else None, **self._tag())

    def _tag(self):
        return {"ETag": self.server.etag} if self.server.etag else {}

    def do_GET(self):
        self._note()
        content, moods = self.server.files.get(self.path), self.server.moods[self.path]
        if moods:
            moods.pop(0)(self, content)
        elif content is None:
            self.send_error(404)
        else:
            self.serve(content)

    def _note(self):
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))

    def start(self, status, length, **headers):
        """Status and headers; a length of None ends with the connection."""
        self.send_response(status)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in (self.server.headers | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def serve(self, content, upto=None, pause_s=0.0, piece=1 << 16):
        """As a good server does, ranges included; ``upto`` breaks off there, ``pause_s`` slows down."""
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range") or "")
        start = 0
        if asked and server.ranges and self.headers.get("If-Range", server.etag) == server.etag:
            start = int(asked[1])
            if start >= len(content):
                self.start(416, 0)
                return
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.start(206, len(content) - start, Content_Range=span, **self._tag())
        else:
            self.start(200, len(content) if server.sizes else None, **self._tag())
        end = len(content) if upto is None else upto
        for at in range(start, end, piece):
            self.wfile.write(content[at : min(at + piece, end)])
            self.wfile.flush()
            time.sleep(pause_s)
        if end < len(content):
            self.close_connection = True


def breaking(upto):
    """The connection ends after ``upto`` bytes of the file."""
    return lambda handler, content: handler.serve(content, upto=upto)


def answering(status, body=b"no", **headers):
    """Another answer than the file."""

    def answer(handler, _):
        handler.start(status, len(body), **headers)
        handler.wfile.write(body)

    return answer


def trickling(pause_s=0.05, piece=8):
    """A few bytes at a time."""
    return lambda handler, content: handler.serve(content, pause_s=pause_s, piece=piece)


def silent(seconds):
    """Headers, and then nothing."""

    def hang(handler, content):
        handler.start(200, len(content))
        time.sleep(seconds)
        handler.close_connection = True

    return hang


def claiming(length):
    """States a length that is not the file's, and sends as much of it as fits."""

    def claim(handler, content):
        handler.start(200, length)
        handler.wfile.write(content[:length])
        handler.close_connection = True

    return claim


def redirecting(to):
    """Sends elsewhere."""
    return answering(302, b"", Location=to)


def ranging(**headers):
    """A range as it was asked for, with other headers than the server gives otherwise."""

    def answer(handler, content):
        start = int(re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"])[1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.start(206, len(content) - start, **{"Content_Range": span} | headers)
        handler.wfile.write(content[start:])

    return answer


def sending(*pieces, pause_s=0.0, at_most_s=10.0):
    """Bytes as they are, status line and headers included; the last piece is sent again and again."""

    def send(handler, _):
        handler.close_connection = True
        end = time.monotonic() + at_most_s
        for piece in itertools.chain(pieces, itertools.repeat(pieces[-1])):
            if time.monotonic() > end:
                return
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(pause_s)

    return send


def nobody():
    """Address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def running():
    """A server in a thread."""
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
