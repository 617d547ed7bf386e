"""Reading pickles from strangers: only numpy arrays and plain Python containers get in.

Numpy's own functions trust a pickle: its dtypes and states can place any address in an object array. So
none of them is handed out: the names that numpy's pickles use stand for the checked makers below.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SourceError

_NUMBERS_AND_TEXT = "biufSU"


class _SafeDtype:
    """A dtype of numbers, text or Python objects, without fields."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in _NUMBERS_AND_TEXT + "O":
            raise pickle.UnpicklingError(f"refused dtype {code}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _SafeArray(np.ndarray):
    """An array that takes its content only where type, shape and content fit together."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        version, shape, dtype, fortran, content = state
        kind = list if dtype.dtype.kind == "O" else (bytes, str)
        fits = isinstance(content, kind) and all(isinstance(size, int) and size >= 0 for size in shape)
        if not fits or (kind is list and len(content) != prod(shape)):
            raise pickle.UnpicklingError("an array whose content does not fit its shape")
        super().__setstate__((version, shape, dtype.dtype, fortran, content))


def _make_dtype(code: str, *_: object) -> _SafeDtype:
    return _SafeDtype(code)


def _make_array(*_: object) -> _SafeArray:
    return _SafeArray((0,), dtype=np.int8)


def _make_scalar(dtype: _SafeDtype, content: bytes | str) -> Any:
    raw = content.encode("latin-1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.dtype, count=1)[0]


def _make_from_buffer(content: bytes, dtype: _SafeDtype, shape: tuple[int, ...], order: Any) -> NDArray[Any]:
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


def _make_bytes(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 spell bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"refused encoding {encoding}")
    return text.encode("latin-1")


_SAFE_GLOBALS: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
    ("numpy", "dtype"): _make_dtype,
    ("_codecs", "encode"): _make_bytes,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):
    _SAFE_GLOBALS[f"{_core}.multiarray", "_reconstruct"] = _make_array
    _SAFE_GLOBALS[f"{_core}.multiarray", "scalar"] = _make_scalar
    _SAFE_GLOBALS[f"{_core}.numeric", "_frombuffer"] = _make_from_buffer


class _RestrictedUnpickler(pickle.Unpickler):
    """Admits the names that numpy arrays need and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an admitted name stands for, or refuse with the name."""
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"refused class {module}.{name}")
        return _SAFE_GLOBALS[module, name]


def read_pickle(path: Path) -> Any:
    """Load a pickle of numpy arrays, numbers, strings, lists, tuples, sets and dicts; run nothing.

    Raises:
        SourceError: the file is missing, truncated, or names any other class (which is told).
    """
    try:
        with path.open("rb") as handle:
            return _RestrictedUnpickler(handle).load()
    except OSError as error:
        raise SourceError(f"cannot read the pickle ({error.strerror})", where=path) from error
    except pickle.UnpicklingError as error:
        raise SourceError(
            f"unsafe or damaged pickle ({error})",
            where=path,
            do="Only numpy arrays and plain containers are read; convert the file with its own tool first",
        ) from error
    except Exception as error:  # damaged bytes can raise anything, MemoryError and LookupError included
        raise SourceError(
            f"damaged pickle ({type(error).__name__}: {error})", where=path, do="Fetch the file again"
        ) from error
