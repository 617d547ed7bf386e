"""Model files of one's own: run when a person names them, never because a recipe or a run does.

A recipe and ``model.json`` name a model class as ``module:class``. Both can come from other people, so the
name alone imports nothing but installed packages. A file becomes the module of its name when ``--code FILE``
(or `load_code`) says so. Its digest is kept, so that a run can say later whether the file is still the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mer_data.errors import RecipeError
from mer_data.files.writing import sha256_bytes, sha256_file

_LOADED: dict[str, CodeFile] = {}
"""By module name; a process loads a file once."""


@dataclass(frozen=True)
class CodeFile:
    """A file that was loaded: its path, and the digest of the bytes that were run."""

    path: Path
    digest: str


def load_code(paths: Iterable[str | Path]) -> None:
    """Run files and make each the module of its name: ``my_model.py`` becomes ``my_model``.

    Files that import each other are named in that order, the imported one first. A file that is loaded
    already is not run again.

    Args:
        paths: Python files.

    Raises:
        RecipeError: a file is missing or no Python, its name is taken, or running it fails.
    """
    for path in map(Path, paths):
        name = _module_name(path)
        source = _read(path)
        digest = sha256_bytes(source)
        if name in _LOADED and _LOADED[name].digest == digest:
            continue
        _run(name, path, source)
        _LOADED[name] = CodeFile(path.absolute(), digest)


def loaded_files() -> dict[str, CodeFile]:
    """The files that `load_code` has run, by module name."""
    return dict(_LOADED)


def code_digests(model: str) -> dict[str, str]:
    """Digests of the code behind a model of one's own, by module name.

    Args:
        model: its name in a recipe. Only ``module:class`` is somebody's own code; others give nothing.

    Returns:
        The file of its module, and every file that `load_code` has run (helpers of the model).
    """
    name, separator, _ = model.partition(":")
    if not separator:
        return {}
    digests = {name: file.digest for name, file in _LOADED.items()}
    file = getattr(sys.modules.get(name), "__file__", None)
    if name not in digests and file is not None and Path(file).is_file():
        digests[name] = sha256_file(Path(file))
    return digests


def installed_module(name: str) -> ModuleType:
    """The module ``name`` of an installed package, or one that this process has imported already.

    The current folder, the folder of the script (``sys.path[0]``) and those of PYTHONPATH are no
    installation: the files of a downloaded run lie there, too.

    Raises:
        ImportError: there is none.
    """
    if name in sys.modules:
        return sys.modules[name]
    top, places = name.partition(".")[0], _installed_places()
    if top and not _is_installed(top):
        raise ModuleNotFoundError(f"no installed package {top!r}", name=top)
    with _looking_in([*places, *(place for place in sys.path if place not in places)]):
        return import_module(name)


def _is_installed(top: str) -> bool:
    """Return whether a top-level module is in an installed package, part of Python, or imported already."""
    with _looking_in(_installed_places()):
        return top in sys.modules or find_spec(top) is not None


@contextmanager
def _looking_in(places: list[str]) -> Iterator[None]:
    """Import from these folders for a while."""
    before, sys.path = sys.path, places
    try:
        yield
    finally:
        sys.path = before


def _installed_places() -> list[str]:
    """``sys.path`` without what a person, not an installation, put there."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    own = {os.path.realpath(place or os.curdir) for place in [*named, *sys.path[:1], os.curdir]}
    return [
        place
        for place in sys.path
        if Path(place).name in ("site-packages", "dist-packages")
        or (place and os.path.realpath(place) not in own)
    ]


def _module_name(path: Path) -> str:
    """The name under which a file is a module, when that is free."""
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier():
        raise RecipeError(
            "not a file of Python code",
            where=path,
            expected="a name such as my_model.py: letters, digits and _",
            do="Rename it",
        )
    if name not in _LOADED and _is_installed(name):
        raise RecipeError(
            f"{name!r} is the name of an installed module too", where=path, do="Give the file another name"
        )
    return name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"cannot read the model's code ({error.strerror})", where=path, do="Name a file with --code"
        ) from error


def _run(name: str, path: Path, source: bytes) -> None:
    """Run ``source`` as module ``name``; the bytes that were digested are those that run."""
    module = ModuleType(name)
    module.__file__ = str(path.absolute())
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pydantic look a class's module up
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except Exception as error:  # whatever somebody's code raises
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise RecipeError(
            f"cannot run the model's code ({type(error).__name__}: {error}{line})",
            where=path,
            do="Mend the file, or name files that it imports first, each with --code",
        ) from error
