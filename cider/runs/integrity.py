"""Whether the files of a finished run are still those that training wrote.

``digests.json`` has the digests of all files that training leaves, ``result.json`` included, and one of
itself. It is written before the result, with which a run counts as finished. Whoever reads a file of a run
checks it first. Runs from before there were digests are read with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import json_text, sha256_file, sha256_text, write_json, write_text

RESULT, DIGESTS, WEIGHTS = "result.json", "digests.json", "checkpoints/best.safetensors"
SEALED = ("recipe.yaml", "provenance.json", "metrics.jsonl", "model.json", "tokenizer.json", WEIGHTS)
"""The files whose digests are kept beside that of the result, as far as a run has them."""
_FORMAT, _VERSION = "cider/run-digests", 1
_log = getLogger(__name__)
_warned: set[Path] = set()


def seal(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the digests of a training's files, then its result: from then on the run counts as finished.

    Args:
        folder: of the run, with all other files.
        result: values of `cider.training.trainer.TrainingResult`.
    """
    text = json_text(result)
    files = {name: sha256_file(folder / name) for name in SEALED if (folder / name).is_file()}
    content = {"format": _FORMAT, "version": _VERSION, "files": {**files, RESULT: sha256_text(text)}}
    write_json(folder / DIGESTS, {**content, "digest": _digest(content)})
    write_text(folder / RESULT, text)


def read_result(folder: str | Path) -> dict[str, Any] | None:
    """How the training of a run ended; None while it has not.

    Raises:
        DamagedRunError: the file that says so is damaged, or was changed.
    """
    folder = Path(folder)
    path = folder / RESULT
    if not path.is_file():
        return None
    check_file(folder, RESULT)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, "damaged result") from error
    if not isinstance(content, dict):
        raise _damaged(path, "damaged result")
    return content


def check_file(folder: Path, name: str) -> None:
    """Raise unless a file of a finished run is as training left it.

    Args:
        folder: of the run.
        name: path of the file in it.

    Raises:
        DamagedRunError: it is missing, damaged or was changed.
    """
    expected = recorded_digest(folder, name)
    if expected is None:
        return
    path = folder / name
    found = sha256_file(path) if path.is_file() else "no file"
    if found != expected:
        raise _damaged(path, "the file is not as training left it", found=found, expected=expected)


def recorded_digest(folder: Path, name: str) -> str | None:
    """The digest of a file of a finished run; None of an unfinished run, or of one without digests.

    The latter is told once.

    Raises:
        DamagedRunError: the digests are damaged, or do not know the file.
    """
    digests = read_digests(folder)
    if digests is None:
        if (folder / RESULT).is_file():
            _warn_unsealed(folder)
        return None
    if name not in digests:
        raise _damaged(folder / name, f"{DIGESTS} of the run does not know this file")
    return digests[name]


def read_digests(folder: Path) -> dict[str, str] | None:
    """The digests of a run by path in its folder; None where there are none.

    Raises:
        DamagedRunError: they are damaged, or were changed.
    """
    path = folder / DIGESTS
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        digest = content.pop("digest")
        about, files = (content["format"], content["version"]), dict(content["files"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(path, "damaged digests") from error
    if digest != _digest(content):
        raise _damaged(path, "the digests of the run were changed")
    if about != (_FORMAT, _VERSION):
        raise RunError("digests of another version", where=path, found=about[1], expected=_VERSION)
    return files


def _warn_unsealed(folder: Path) -> None:
    """Tell, once in a process, that a run has no digests."""
    if folder.resolve() not in _warned:
        _warned.add(folder.resolve())
        _log.warning(
            "Warning: %s was trained before runs had digests: damage to its files is not found.", folder
        )


def _digest(content: Mapping[str, Any]) -> str:
    return sha256_text(json.dumps(content, sort_keys=True))


def _damaged(path: Path, what: str, **found: object) -> DamagedRunError:
    return DamagedRunError(
        what, where=path, **found, do="Restore it from a copy, or train again with --force"
    )
