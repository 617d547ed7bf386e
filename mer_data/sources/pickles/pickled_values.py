"""The values that a pickle makes by a call: numpy arrays, scalars and dtypes, bytes, sets, ordered dicts.

Numpy's own functions trust a pickle: its dtypes and states can place any address in an object array. So
none of them is called: the names that pickles use are looked up among the checked makers below.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.sources.pickles.pickle_limits import CONTAINER_BYTES, Budget, PickleRefusedError

_MAX_DIMENSIONS = 32
_MAX_CLAIMED = 1 << 24  # by the other dimensions of an array without elements
_DTYPE = re.compile(r"[<>=|]?(?:b1|\?|[iu][1248]|f[248]|[SU][0-9]{1,7}|O8?)")
_KEYS = (str, bytes, bool, int, float, np.generic, type(None))


@dataclass(frozen=True)
class Name:
    """A name that a pickle imports; it is only ever looked up in ``MAKERS``."""

    module: str
    name: str

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"{self.module}.{self.name}"


@dataclass
class Unfinished:
    """A value between the opcode that makes it and the one that fills it.

    Attributes:
        what: how messages call it.
        finish: makes the value of a state.
        memo_keys: where the memo holds it.
    """

    what: str
    finish: Callable[[Any], Any]
    memo_keys: list[int] = field(default_factory=list)


def set_items(target: dict[Any, Any], keys: Iterable[Any], values: Iterable[Any]) -> None:
    """Put items into a dict whose keys are plain values: to hash anything else can take forever.

    Raises:
        PickleRefusedError: another key, or not as many keys as values.
    """
    for key, value in zip(keys, values, strict=True):
        if not isinstance(key, _KEYS):
            raise PickleRefusedError(f"refused key of {type(key).__name__}")
        target[key] = value


def make_set(members: Iterable[Any]) -> set[Any]:
    """Return a set of plain values, which are as safe to hash as the keys of a dict."""
    result: dict[Any, None] = {}
    members = list(members)
    set_items(result, members, [None] * len(members))
    return set(result)


def dtype_of(code: object) -> np.dtype[Any]:
    """Return the dtype of numbers, text or Python objects with this code.

    Raises:
        PickleRefusedError: of every other kind.
    """
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        found = repr(code[:40]) if isinstance(code, str) else type(code).__name__
        raise PickleRefusedError(f"refused dtype {found}")
    return np.dtype(code)


def numbers_or_text(content: object, dtype: object, budget: Budget) -> NDArray[Any]:
    """Return the values in ``content`` as an array (n,), without a copy.

    Raises:
        PickleRefusedError: no bytes, not a multiple of the dtype, or characters that do not exist.
    """
    if isinstance(content, str):  # how Python 2 and protocol 0 spell bytes
        budget.charge(len(content))
        content = content.encode("latin-1")
    if not isinstance(dtype, np.dtype) or dtype.kind == "O" or not isinstance(content, (bytes, bytearray)):
        raise PickleRefusedError("an array without bytes")
    budget.charge(len(content))
    if not content:
        return np.empty(0, dtype)
    if dtype.itemsize == 0 or len(content) % dtype.itemsize:
        raise PickleRefusedError("an array whose content does not fit its dtype")
    if dtype.kind == "U":
        codes = np.frombuffer(content, np.dtype(f"{dtype.byteorder}u4"))
        if codes.max() > sys.maxunicode:
            raise PickleRefusedError("text with characters that do not exist")
    return np.frombuffer(content, dtype)


def shaped(values: NDArray[Any], shape: object, order: object) -> NDArray[Any]:
    """Return ``values`` (n,) in a shape of n elements.

    Raises:
        PickleRefusedError: the shape does not fit, or claims more than there is next to a dimension of 0.
    """
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > _MAX_DIMENSIONS or not all(isinstance(size, int) and size >= 0 for size in sizes):
        raise PickleRefusedError("an array without a shape")
    claimed = prod(size for size in sizes if size)
    if prod(sizes) != len(values) or claimed > max(len(values), _MAX_CLAIMED) or order not in ("C", "F"):
        raise PickleRefusedError("an array whose content does not fit its shape")
    return values.reshape(sizes, order=order)


def objects(content: object, budget: Budget) -> NDArray[Any]:
    """Return a list of objects as an array (n,)."""
    if not isinstance(content, list):
        raise PickleRefusedError("an array of objects without a list of them")
    budget.charge(8 * len(content) + CONTAINER_BYTES)
    result = np.empty(len(content), dtype=object)
    for index, value in enumerate(content):
        result[index] = value
    return result


def _make_dtype(budget: Budget, code: object, *_: object) -> Unfinished:
    dtype = dtype_of(code)

    def finish(state: Any) -> np.dtype[Any]:
        """Take the byte order; fields, shapes and metadata are of other kinds of dtypes."""
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise PickleRefusedError("refused dtype with fields")
        return dtype.newbyteorder(order) if order in ("<", ">") else dtype

    return Unfinished("a dtype", finish)


def _make_array(budget: Budget, *_: object) -> Unfinished:
    def finish(state: Any) -> NDArray[Any]:
        """Take shape, dtype, order and content."""
        _, shape, dtype, fortran, content = state
        is_object = isinstance(dtype, np.dtype) and dtype.kind == "O"
        values = objects(content, budget) if is_object else numbers_or_text(content, dtype, budget)
        return shaped(values, shape, "F" if fortran else "C")

    return Unfinished("an array", finish)


def _make_scalar(budget: Budget, dtype: object, content: object) -> Any:
    values = numbers_or_text(content, dtype, budget)
    if len(values) != 1:
        raise PickleRefusedError("a scalar whose content does not fit its dtype")
    return values[0]


def _make_from_buffer(budget: Budget, content: object, dtype: object, shape: object, order: object) -> Any:
    return shaped(numbers_or_text(content, dtype, budget), shape, order)


def _make_bytes(budget: Budget, text: str = "", encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 spell bytes."""
    if not isinstance(text, str) or not isinstance(encoding, str):
        raise PickleRefusedError("refused call of _codecs.encode")
    if encoding not in ("latin1", "latin-1"):
        raise PickleRefusedError(f"refused encoding {encoding[:40]}")
    budget.charge(len(text))
    return text.encode("latin-1")


def _make_set(budget: Budget, members: list[Any]) -> set[Any]:
    budget.charge(CONTAINER_BYTES + 8 * len(members))
    return make_set(members)


def _make_ordered_dict(budget: Budget, pairs: list[Any] | None = None) -> dict[Any, Any]:
    """An ordered dict is a plain one: nothing can be hidden behind its methods."""
    budget.charge(CONTAINER_BYTES + 16 * len(pairs or ()))
    result: dict[Any, Any] = {}
    set_items(result, [key for key, _ in pairs or ()], [value for _, value in pairs or ()])
    return result


MAKERS: dict[Name, Callable[..., Any] | None] = {
    Name("numpy", "ndarray"): None,  # only ever an argument of _reconstruct
    Name("numpy", "dtype"): _make_dtype,
    Name("_codecs", "encode"): _make_bytes,
    Name("__builtin__", "bytes"): _make_bytes,
    Name("__builtin__", "set"): _make_set,
    Name("builtins", "set"): _make_set,
    Name("collections", "OrderedDict"): _make_ordered_dict,
}
"""Every name that is admitted, and what a call of it makes; the first argument is the budget."""

for _core in ("numpy.core", "numpy._core"):
    MAKERS[Name(f"{_core}.multiarray", "_reconstruct")] = _make_array
    MAKERS[Name(f"{_core}.multiarray", "scalar")] = _make_scalar
    MAKERS[Name(f"{_core}.numeric", "_frombuffer")] = _make_from_buffer
