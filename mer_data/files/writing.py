"""Files that appear only when complete, their digests, and text and JSON of others."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from mer_data.errors import MerDataError, WriteError

_HOST = re.sub(r"[^A-Za-z0-9]", "-", socket.gethostname())
_NUMBER = count()
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def complete_or_absent(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``target``; on success sync it and rename it to ``target``.

    On any exception the temporary file is removed and ``target`` is untouched. Files that killed
    processes of this machine left for the same target are removed first. Two writers of one target do
    not meet: each has its own temporary file, and the last rename stays.

    Raises:
        WriteError: the disk is full.
    """
    target = Path(target)
    with naming_full_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        partial = target.with_name(f".{target.name}.{process_mark()}-{next(_NUMBER)}.partial")
        try:
            yield partial
            with partial.open("rb+") as handle:
                os.fsync(handle.fileno())
            partial.replace(target)
            sync_folder(target.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def naming_full_disk(target: Path) -> Iterator[None]:
    """While ``target`` is written, a full disk becomes a line that names file and folder.

    Raises:
        WriteError: the disk, or the share of it that the user has, is full, or no file may be larger.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise WriteError(
            f"cannot write {target.name} ({os.strerror(error.errno)})",
            where=target.parent,
            do="Make room there, or write elsewhere",
        ) from error


def process_mark() -> str:
    """This process in the names of its temporary files: machine and number."""
    return f"{_HOST}.{os.getpid()}"


def is_abandoned(mark: str) -> bool:
    """Whether a `process_mark` is of a process of this machine that is no more."""
    host, _, process = mark.rpartition(".")
    return host == _HOST and process.isdecimal() and not _runs(int(process))


def _remove_abandoned(target: Path) -> None:
    """Remove the temporary files of ``target`` whose process, on this machine, is no more."""
    beginning = f".{target.name}."
    for path in target.parent.iterdir():
        name = path.name
        if name.startswith(beginning) and name.endswith(".partial"):
            mark = name[len(beginning) : -len(".partial")].rpartition("-")[0]
            if is_abandoned(mark):
                path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether a process of this machine is alive; True where that cannot be known."""
    if os.name != "posix":  # elsewhere signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make a rename durable; file systems that cannot sync a folder are left as they are."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 so that ``target`` is either the old or the whole new file.

    Bytes of a path that are no text, lone surrogates in Python, become escapes, which JSON reads back.
    """
    with complete_or_absent(target) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(target: str | Path, value: object) -> None:
    """Write ``value`` as indented JSON with a final newline; equal values give equal bytes."""
    write_text(target, json_text(value))


def json_text(value: object) -> str:
    """The text that `write_json` writes."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without the byte-order mark that Excel and Notepad write.

    Raises:
        OSError: unreadable.
        UnicodeDecodeError: (a ``ValueError``) of another encoding.
    """
    return path.read_text(encoding="utf-8-sig")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that anybody may have written.

    Raises:
        OSError: unreadable.
        ValueError: not UTF-8 or not JSON; nested too deeply, a number beyond 64 bits, half of a surrogate
            pair, or a key that stands twice in one object (the first value would be lost).
    """
    text = read_text(path)
    try:
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_object,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if _HALF_PAIR.search(text):  # an escape is the only way for one to get through UTF-8
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("half of a surrogate pair in a text") from error
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    return value


_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_MAX_DIGITS = 20


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS or not -(1 << 63) <= int(digits) < 1 << 64:
        raise ValueError(f"a number beyond 64 bits ({digits[:_MAX_DIGITS]}...)")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"a number that is not finite ({digits[:_MAX_DIGITS]})")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:40]!r} stands twice")
    return value


def refuse_overwrite(
    target: Path, *, force: bool, error: type[MerDataError], option: str | None = "--out"
) -> None:
    """Raise ``error`` when ``target`` exists and ``force`` is off.

    ``option`` of the command writes elsewhere; None: it has none.
    """
    if target.exists() and not force:
        elsewhere = f", or {option} to write elsewhere" if option else ""
        raise error(f"{target} exists already", do=f"Pass --force to replace it{elsewhere}")


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can be that of one file or folder, on every system, and leads nowhere else."""
    return (
        0 < len(name) <= 150
        and name.isprintable()
        and not set(name) & set('/\\:*?"<>|')
        and name[0] not in ". "
        and name[-1] not in ". "
    )


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as ``sha256:<hex>``."""
    path = Path(path)
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes as ``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha256_text(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes as ``sha256:<hex>``."""
    return sha256_bytes(text.encode())
