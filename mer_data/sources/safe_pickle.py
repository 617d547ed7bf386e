"""Reading pickles from strangers: only numpy arrays and plain Python containers get in."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mer_data.errors import SourceError

_SAFE_GLOBALS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # how Python 2 style pickles spell bytes; a pure function of its arguments
    ("collections", "OrderedDict"),
}


class _RestrictedUnpickler(pickle.Unpickler):
    """Admits the globals that numpy arrays need and nothing else."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return an admitted global, or refuse with its name."""
        if (module, name) not in _SAFE_GLOBALS:
            raise pickle.UnpicklingError(f"refused class {module}.{name}")
        found: Callable[..., Any] = super().find_class(module, name)
        return found


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
    except (EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError) as error:
        raise SourceError(
            f"damaged pickle ({type(error).__name__}: {error})", where=path, do="Fetch the file again"
        ) from error
