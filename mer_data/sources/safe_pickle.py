"""Reading pickles from strangers: only numpy arrays and plain Python containers get in.

Numpy's own functions trust a pickle: its dtypes and states can place any address in an object array. So
none of them is handed out: the names that numpy's pickles use stand for the checked makers below.
"""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SourceError

_NUMBERS_AND_TEXT = "biufSU"
_VALUES = (np.generic, str, bytes, bytearray, bool, int, float, complex, type(None))


class SafeDtype:
    """A dtype of numbers, text or Python objects, without fields."""

    def __init__(self, code: str) -> None:
        """Refuse every other kind."""
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in _NUMBERS_AND_TEXT + "O":
            raise pickle.UnpicklingError(f"refused dtype {code}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order."""
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class SafeArray(np.ndarray):
    """An array that takes its content only where type, shape and content fit together."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take a checked content."""
        version, shape, dtype, fortran, content = state
        fits = all(isinstance(size, int) and size >= 0 for size in shape)
        if dtype.dtype.kind == "O":
            fits = fits and isinstance(content, list) and len(content) == prod(shape)
        else:
            content = checked_bytes(dtype, content)  # numpy itself compares its length with the shape
        if not fits:
            raise pickle.UnpicklingError("an array whose content does not fit its shape")
        super().__setstate__((version, shape, dtype.dtype, fortran, content))


def checked_bytes(dtype: SafeDtype, content: object) -> bytes | bytearray:
    """The bytes of numbers or text; text must be of characters that exist."""
    raw = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(raw, (bytes, bytearray)):
        raise pickle.UnpicklingError("an array without bytes")
    if dtype.dtype.kind == "U":
        codes = np.frombuffer(raw, np.dtype(f"{dtype.dtype.byteorder}u4"))
        if codes.max(initial=0) > sys.maxunicode:
            raise pickle.UnpicklingError("text with characters that do not exist")
    return raw


def _make_dtype(code: str, *_: object) -> SafeDtype:
    return SafeDtype(code)


def _make_array(*_: object) -> SafeArray:
    return SafeArray((0,), dtype=np.int8)


def _make_scalar(dtype: SafeDtype, content: object) -> Any:
    return np.frombuffer(checked_bytes(dtype, content), dtype.dtype, count=1)[0]


def _make_from_buffer(content: object, dtype: SafeDtype, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    return np.frombuffer(checked_bytes(dtype, content), dtype.dtype).reshape(shape, order=order)


def _make_no_bytes() -> bytes:
    return b""


def _make_bytes(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 spell bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"refused encoding {encoding}")
    return text.encode("latin-1")


SAFE_GLOBALS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _make_bytes,
    ("__builtin__", "bytes"): _make_no_bytes,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):
    SAFE_GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _make_array
    SAFE_GLOBALS[f"{_core}.multiarray", "scalar"] = _make_scalar
    SAFE_GLOBALS[f"{_core}.numeric", "_frombuffer"] = _make_from_buffer


def find_safe(module: str, name: str) -> Any:
    """What an admitted name stands for.

    Raises:
        UnpicklingError: any other name, which is told.
    """
    if (module, name) not in SAFE_GLOBALS:
        raise pickle.UnpicklingError(f"refused class {module}.{name}")
    return SAFE_GLOBALS[module, name]


class RestrictedUnpickler(pickle.Unpickler):
    """Admits the names that numpy arrays need and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an admitted name stands for, or refuse with the name."""
        return find_safe(module, name)


def plain_only(content: Any) -> Any:
    """``content``, where it holds arrays, values and containers of them, and nothing they are made with.

    A damaged pickle can leave a dtype or a maker where its data should be.

    Raises:
        UnpicklingError: anything else is in it.
    """
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, _VALUES) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += value
        elif not isinstance(value, np.ndarray):
            raise pickle.UnpicklingError(f"{type(value).__name__} in place of data")
        elif value.dtype.kind == "O":
            waiting += value.ravel().tolist()
    return content


@contextmanager
def pickle_errors(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a pickle is read, as a ``SourceError`` that names the file."""
    try:
        yield
    except SourceError:
        raise
    except OSError as error:
        if error.errno is None:  # decompressors raise it for damaged bytes
            raise _damaged(path, error) from error
        raise SourceError(f"cannot read the pickle ({error.strerror})", where=path) from error
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"unsafe or damaged pickle ({error})",
            where=path,
            do="Only numpy arrays and plain containers are read; convert the file with its own tool first",
        ) from error
    except Exception as error:  # damaged bytes can raise anything, MemoryError and LookupError included
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"damaged pickle ({type(error).__name__}: {error})", where=path, do="Fetch the file again"
    )
