"""Pickles as joblib writes them: perhaps compressed, with the bytes of every array between the opcodes.

joblib puts a ``NumpyArrayWrapper`` (shape, dtype, order) in the place of an array, and the raw bytes of the
array after it; newer versions put padding before the bytes so that they can be mapped into memory.
"""

from __future__ import annotations

import lzma
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_data.errors import SourceError
from mer_data.sources.broken_downloads import refuse_broken_download
from mer_data.sources.pickles.decompression import decompressed
from mer_data.sources.pickles.pickle_limits import BoundedContent, Budget, PickleRefusedError
from mer_data.sources.pickles.pickled_values import Name, Unfinished, numbers_or_text, shaped
from mer_data.sources.pickles.safe_pickle import PickleReader

_WRAPPER = Name("joblib.numpy_pickle", "NumpyArrayWrapper")

MAX_RATIO = 50
MIN_LIMIT = 1 << 24
"""A file may grow to ``MAX_RATIO`` times its size, and to ``MIN_LIMIT`` bytes in any case."""


def read_arrays(path: Path, *, max_bytes: int | None = None) -> Any:
    """Load a pickle, or a file of ``joblib.dump``, of numpy arrays and plain containers; run nothing.

    Work and memory are bounded by the size of the file (see ``pickle_limits``).

    Args:
        path: the file, perhaps compressed with zlib, gzip, bz2, xz or lzma.
        max_bytes: how much a compressed file may become; None: see ``MAX_RATIO``.

    Raises:
        SourceError: the file is missing or cut short, names a class that is not admitted (the message gives
            it), is compressed in another way, becomes too large, goes on after the end of its pickle, or is a
            web page or another broken download.
    """
    refuse_broken_download(path)
    with _one_line_errors(path), path.open("rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        limit = max(MIN_LIMIT, MAX_RATIO * size) if max_bytes is None else max_bytes
        stream = decompressed(handle, path, limit)
        content = (
            BoundedContent(handle, size, exact=True)
            if stream is None
            else BoundedContent(stream, limit, exact=False)
        )
        try:
            result = _JoblibReader(content, Budget(size, content)).load()
            if not content.at_end():
                raise PickleRefusedError("something follows the end of the pickle")
        except PickleRefusedError as error:
            raise SourceError(
                f"unsafe or damaged pickle ({error})",
                where=f"{path}, byte {content.position}",
                do="Only numpy arrays and plain containers of a size that fits the file are read; "
                "where you trust the file, convert it with its own tool first",
            ) from error
        return result


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    """Whatever damaged bytes raise, as a ``SourceError`` that names the file."""
    try:
        yield
    except EOFError as error:
        raise SourceError(
            f"damaged pickle (cut short: {error})",
            where=path,
            found=f"{path.stat().st_size} bytes",
            do="Download or copy the file again",
        ) from error
    except OSError as error:
        if error.errno is not None:  # decompressors raise it without, for damaged bytes
            raise SourceError(f"cannot read the pickle ({error.strerror})", where=path) from error
        raise _damaged(path, error) from error
    except MemoryError as error:
        raise SourceError(
            "not enough memory to read the pickle", where=path, found=f"{path.stat().st_size} bytes"
        ) from error
    except (
        ValueError,
        LookupError,
        ArithmeticError,
        TypeError,
        struct.error,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"damaged pickle ({type(error).__name__}: {error})",
        where=path,
        do="Download or copy the file again",
    )


class _JoblibReader(PickleReader):
    """Reads the arrays that follow joblib's wrappers."""

    def find(self, module: object, name: object) -> Name:
        """Return an admitted name, or that of the wrapper."""
        return _WRAPPER if (module, name) == (_WRAPPER.module, _WRAPPER.name) else super().find(module, name)

    def _new_object(self, _: object) -> None:
        """NEWOBJ: of the wrapper alone; its state, which follows, describes the array."""
        _, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, Name) or kind != _WRAPPER:
            raise PickleRefusedError("refused opcode NEWOBJ")
        self._stack.append(Unfinished("a wrapper", self._read_array))

    def _read_array(self, state: dict[str, Any]) -> NDArray[Any]:
        """The array of a wrapper's state (shape, dtype, order, alignment)."""
        dtype, shape, order = state["dtype"], state["shape"], state["order"]
        if not isinstance(dtype, np.dtype) or state["subclass"] != Name("numpy", "ndarray"):
            raise PickleRefusedError("an array of a kind that is not read")
        if dtype.kind == "O":
            array = PickleReader(self.content, self.budget).load()
            if not isinstance(array, np.ndarray) or array.shape != shape:
                raise PickleRefusedError("an array whose content does not fit its shape")
            return array
        if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
            raise PickleRefusedError("an array without a shape")
        if state.get("numpy_array_alignment_bytes") is not None:
            self.content.read(self.content.read(1)[0])
        content = self.content.read(prod(shape) * dtype.itemsize)
        return shaped(numbers_or_text(content, dtype, self.budget), shape, order)
