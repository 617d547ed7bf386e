"""The content of a body that a server sends encoded although it was asked for the bytes as they are."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from mer_data.sources.download.faults import AttemptError

_PIECE = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS


def encoding_of(header: str | None) -> str | None:
    """Return "gzip" or, of content as it is, None.

    Args:
        header: ``Content-Encoding`` of an answer.

    Raises:
        AttemptError: another encoding, or several.
    """
    encoding = (header or "identity").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return "gzip"
    raise AttemptError(f"the content comes encoded as {encoding[:40]}", lasting=True)


def gunzipped(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the content of a gzip stream in pieces of bounded size.

    Args:
        read: gives the next bytes, and none at the end.

    Raises:
        AttemptError: no gzip stream, or not to its end.
    """
    member, between = zlib.decompressobj(_GZIP), True
    try:
        while data := read():
            while data:
                between = False
                piece = member.decompress(data, _PIECE)
                data = member.unconsumed_tail
                if piece:
                    yield piece
                if member.eof:  # another member may follow
                    data, member, between = member.unused_data, zlib.decompressobj(_GZIP), True
        if not between and (rest := member.flush()):
            yield rest
    except zlib.error as error:
        raise AttemptError("the content is said to be gzip, and is not", lasting=True) from error
    if not between and not member.eof:
        raise AttemptError("the connection ended", lasting=False)
