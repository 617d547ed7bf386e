"""Files that are no data although their names say so: what a failed download or copy leaves."""

from __future__ import annotations

import re
from pathlib import Path

from mer_data.errors import SourceError

_HEAD = 512
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body|!--|\?xml)", re.IGNORECASE)
_LFS = b"version https://git-lfs.github.com/spec/"
_ARCHIVES = {b"PK\x03\x04": "zip", b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7z"}
_AGAIN = "Download it again"


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as handle:
        return handle.read(_HEAD)


def is_html(head: bytes) -> bool:
    """Whether a file begins as a web page does (a server's word for an error, or a page to log in)."""
    return _HTML.match(head) is not None


def what_instead(head: bytes) -> tuple[str, str] | None:
    """Return what a file that begins with ``head`` is instead of data, and what to do; else None."""
    if not head:
        return "an empty file", _AGAIN
    if is_html(head):
        return "a web page", f"{_AGAIN}: the server sent a page, perhaps to log in or with an error"
    if head.startswith(_LFS):
        return "a Git LFS pointer", f"{_AGAIN} with `git lfs pull`, or from the page of the repository"
    if not head.strip(b"\x00"):
        return "a file of zeros", f"{_AGAIN}: the copy was never filled"
    archive = next((name for begin, name in _ARCHIVES.items() if head.startswith(begin)), None)
    return (f"a {archive} archive", "Unpack it and pass what is inside") if archive else None


def refuse_broken_download(path: Path) -> None:
    """Refuse a file that is no data.

    Raises:
        SourceError: it is empty, a web page, a Git LFS pointer, zeros or an archive; the message says which.
    """
    instead = what_instead(head_of(path)) if path.is_file() else None
    if instead is not None:
        raise SourceError(f"{instead[0]}, not a source file", where=path, do=instead[1])
