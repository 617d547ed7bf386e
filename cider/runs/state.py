"""State of a run's folder: nothing, a training that stopped somewhere, or a finished one that is whole.

``digests.json`` has the digests of all files that training leaves, ``result.json`` included, and one of
itself. It is written before the result, with which a run counts as finished. Whoever reads a file of a run
checks it first. Runs from before there were digests are read with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any, Literal

from cider.runs.checkpoints import TrainingCheckpoints
from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import json_text, sha256_file, sha256_text, write_json, write_text

RECIPE, PROVENANCE, CHECKPOINTS = "recipe.yaml", "provenance.json", "checkpoints"
Stage = Literal["free", "begun", "no epoch", "unfinished", "finished", "something else"]
RESULT, DIGESTS, WEIGHTS = "result.json", "digests.json", "checkpoints/best.safetensors"
SEALED = ("recipe.yaml", "provenance.json", "metrics.jsonl", "model.json", "tokenizer.json", WEIGHTS)
"""The files whose digests are kept beside that of the result, as far as a run has them."""
_FORMAT, _VERSION = "cider/run-digests", 1
_log = getLogger(__name__)
_warned: set[Path] = set()


@dataclass(frozen=True)
class FolderState:
    """Content of a folder.

    Attributes:
        folder: which.
        stage: "free" (absent or empty), "begun" (stopped before training began: there is only a recipe),
            "no epoch" (before the first epoch was complete), "unfinished", "finished" or "something else".
        epoch: epochs that are complete.
    """

    folder: Path
    stage: Stage
    epoch: int = 0

    @classmethod
    def read(cls, folder: str | Path) -> FolderState:
        """Look into a folder.

        Raises:
            DamagedRunError: the result of the run is damaged.
        """
        folder = Path(folder)
        names = _names(folder)
        if not names:
            return cls(folder, "free")
        if PROVENANCE not in names:
            return cls(folder, "begun" if names == {RECIPE} else "something else")
        result = read_result(folder)
        if result is not None:
            return cls(folder, "finished", int(result.get("epochs", 0)))
        epoch = TrainingCheckpoints(folder / CHECKPOINTS).last_epoch()
        return cls(folder, "unfinished" if epoch else "no epoch", epoch)

    @property
    def told(self) -> str:
        """The state for a person."""
        epochs = f"epoch {self.epoch}"
        return {
            "free": "nothing",
            "begun": "a training that was stopped before it began",
            "no epoch": "a training that was stopped before its first epoch was complete",
            "unfinished": f"a training that has not finished, stopped after {epochs}",
            "finished": f"a training that finished after {epochs}",
            "something else": "something that is no run",
        }[self.stage]


def require_run(folder: Path) -> None:
    """Raise a RunError unless ``folder`` holds a run, with what makes one."""
    names = _names(folder)
    if {RECIPE, PROVENANCE} <= names:
        return
    if names == {RECIPE}:
        raise RunError(
            "no training run: it was stopped before training began, only its recipe is there",
            where=folder,
            do=f"Train it with `cider train RECIPE --out {folder} --force`",
        )
    if PROVENANCE in names or RESULT in names:
        missing = next(name for name in (RECIPE, PROVENANCE) if name not in names)
        raise RunError(
            f"no whole training run: {missing} is missing",
            where=folder,
            do="Restore it from a copy, or train into another folder",
        )
    raise RunError("no training run", where=folder, do="Make one with `cider train RECIPE`")


def refuse_nesting(folder: Path) -> None:
    """Refuse a run inside the folder of another run, and one in the place of a folder of runs.

    Raises:
        RunError: it would be.
    """
    for parent in folder.absolute().parents:
        if (parent / PROVENANCE).is_file() and (parent / RECIPE).is_file():
            raise RunError(
                f"{folder} would be a run inside the run {parent}",
                do="Choose another --out: with --seeds it is the folder of the runs, else that of the run",
            )
    if not folder.is_dir() or (folder / PROVENANCE).is_file():
        return
    runs = sorted(path.parent.name for path in folder.glob(f"[!.]*/{PROVENANCE}"))
    if runs:
        raise RunError(
            f"{folder} is a folder of runs, not of a run",
            found=", ".join(runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else ""),
            do="Choose another --out, as one folder below it; with --seeds it is the folder of the runs",
        )


def refuse_twice(runs: Sequence[Path]) -> None:
    """Refuse a run that is named twice: it would count twice in means and spreads.

    Raises:
        RunError: one is, by this or another path.
    """
    places = [path.resolve() for path in runs]
    twice = [str(path) for path, place in zip(runs, places, strict=True) if places.count(place) > 1]
    if twice:
        raise RunError("a run is named twice", found=", ".join(twice), do="Name every run once")


def _names(folder: Path) -> set[str]:
    """Return the names in a folder, without what a killed process was writing."""
    if not folder.is_dir():
        return {folder.name} if folder.exists() else set()
    return {path.name for path in folder.iterdir() if not (path.name[0] == "." and path.suffix == ".partial")}


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
    """Return how the training of a run ended; None while it has not.

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

    A run without digests is warned of once.

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
    """Warn, once in a process, that a run has no digests."""
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
