"""Check a source file: its size, its checksum and its structure."""

from __future__ import annotations

from pathlib import Path

from mer_data.errors import SourceError
from mer_data.files.writing import sha256_file
from mer_data.sources.broken_downloads import head_of, what_instead
from mer_data.sources.catalogue import PublishedFile, SourceManifest
from mer_data.sources.lock_file import Recorded, SourceLock

_PICKLE_HEADS = (b"\x80", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00")
_ZLIB = 0x78


def is_pickle(head: bytes) -> bool:
    """Whether a file may be a pickle, perhaps compressed; only reading all of it can be sure."""
    zlib = head[:1] == bytes([_ZLIB]) and int.from_bytes(head[:2], "big") % 31 == 0
    return zlib or head.startswith(_PICKLE_HEADS)


def check_file(
    path: Path, file: PublishedFile, manifest: SourceManifest, lock: SourceLock | None, origin: str
) -> Recorded:
    """Check everything that is known of a published file against its copy at ``path``.

    Args:
        path: the copy, under whatever name.
        file: what it is supposed to be.
        manifest: of its dataset.
        lock: checksums met before; None where they do not count.
        origin: where the copy came from, for the lock file.

    Returns:
        What the lock file should remember; nothing is recorded yet.

    Raises:
        SourceError: size, structure or checksum are not those of the file.
    """
    num_bytes = path.stat().st_size
    if file.bytes is not None and num_bytes != file.bytes:
        raise SourceError("wrong size", where=path, found=f"{num_bytes} bytes", expected=file.bytes)
    check_structure(path, file, manifest)
    sha256 = sha256_file(path)
    if file.sha256 is not None and sha256 != f"sha256:{file.sha256}":
        raise SourceError("wrong checksum", where=path, found=sha256, expected=f"sha256:{file.sha256}")
    if lock is not None:
        lock.check(file.name, sha256, path)
    return Recorded(num_bytes, sha256, origin)


def check_structure(path: Path, file: PublishedFile, manifest: SourceManifest) -> None:
    """Open the copy as what it is supposed to be; its features are not read.

    Raises:
        SourceError: a broken download, another format, another feature set, or of another corpus.
    """
    head = head_of(path)
    instead = what_instead(head)
    if instead is not None:
        raise SourceError(f"{instead[0]} instead of {file.name}", where=path, do=instead[1])
    if file.name.endswith(".csd"):
        _check_csd(path, file, manifest)
    elif file.name.endswith(".csv"):
        from mer_data.sources.transcripts import read_transcripts

        read_transcripts(path)
    elif not is_pickle(head):
        raise SourceError("not a pickle", where=path, found=f"first bytes {head[:8]!r}")


def _check_csd(path: Path, file: PublishedFile, manifest: SourceManifest) -> None:
    from mer_data.sources.csd.csd_files import ComputationalSequence

    sequence = ComputationalSequence(path)
    sequence.close()
    known = manifest.feature_set(file.key)
    if known is not None and not known.matches(sequence.root):
        raise SourceError(
            f"another feature set than {file.key}",
            where=path,
            found=f"root {sequence.root!r}",
            expected=" or ".join(map(repr, known.roots)),
        )
    if not sequence.videos:
        raise SourceError("a computational sequence without videos", where=path)
    if manifest.folds.kind == "sdk":
        from mer_data.sources.folds import standard_folds

        if not set(sequence.videos) & set(standard_folds(manifest.folds, path.parent)):
            raise SourceError(
                f"no video of {manifest.dataset}", where=path, found=f"video {sequence.videos[0]!r}"
            )
