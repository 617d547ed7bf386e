"""Training checkpoints: everything that the rest of a training depends on, one folder per epoch.

A folder ``epoch-0007`` holds tensors by part (``weights``, ``optimiser``, ``random``, and the ``best``
weights so far) as safetensors, and ``state.json``: numbers, and the digests of all files and of itself.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mer_data.errors import RunError, WriteError
from mer_data.files.writing import complete_or_absent, sha256_file, sha256_text, sync_folder, write_json
from mer_data.progress import Tell

_FORMAT, _VERSION = "cider training checkpoint", 1
_STATE = "state.json"
_log = getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint.

    Attributes:
        folder: where it is.
        epoch: epochs done.
        numbers: what was saved with it.
    """

    folder: Path
    epoch: int
    numbers: dict[str, Any]

    def tensors(self, part: str) -> dict[str, Tensor]:
        """The tensors of one part, on the processor."""
        tensors: dict[str, Tensor] = load_file(self.folder / f"{part}.safetensors")
        return tensors

    def file(self, part: str) -> Path | None:
        """The file of one part, if it has one."""
        path = self.folder / f"{part}.safetensors"
        return path if path.is_file() else None


class TrainingCheckpoints:
    """The last two checkpoints of a training: when one is damaged, there is the one before."""

    keep = 2

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which appears with the first checkpoint."""
        self._folder = folder

    def save(
        self,
        epoch: int,
        tensors: Mapping[str, Mapping[str, Tensor]],
        numbers: Mapping[str, Any],
        *,
        files: Mapping[str, Path],
    ) -> None:
        """Write a checkpoint; its folder appears when complete and on the disk. Then drop the oldest.

        Args:
            epoch: epochs done.
            tensors: by part and name.
            numbers: JSON values.
            files: parts that are files already; they cost no space where the file system has links.

        Raises:
            WriteError: the disk is full; the checkpoints before are as they were.
        """
        target = self._path(epoch)
        partial = target.with_name(f".{target.name}.partial")
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            for part, values in tensors.items():
                save_tensors(values, partial / f"{part}.safetensors")
            for part, source in files.items():
                link_or_copy(source, partial / f"{part}.safetensors")
            digests = {path.name: sha256_file(path) for path in sorted(partial.iterdir())}
            state = {"format": _FORMAT, "version": _VERSION, "files": digests, "numbers": dict(numbers)}
            write_json(partial / _STATE, {"digest": _digest(state), "state": state})
        except WriteError:
            shutil.rmtree(partial, ignore_errors=True)  # where the disk is full, room is needed
            raise
        shutil.rmtree(target, ignore_errors=True)
        # The rename makes the checkpoint appear as a whole; only after the folder is on the disk may an older
        # one go, so that a power cut at any moment leaves a whole one.
        partial.rename(target)
        sync_folder(self._folder)
        for old in self.epochs()[self.keep :]:
            shutil.rmtree(self._path(old))

    def newest(self, warn: Tell = _log.warning) -> Checkpoint:
        """The newest checkpoint that is whole.

        Args:
            warn: called with a line about every one that is not.

        Raises:
            RunError: there is none.
        """
        epochs = self.epochs()
        for epoch in epochs:
            try:
                return self.open(epoch)
            except RunError as error:
                warn(f"Skipped a checkpoint: {error}")
        raise RunError(
            "no checkpoint is whole" if epochs else "no epoch has been completed, so there is no checkpoint",
            where=self._folder,
            do="Train again with --force",
        )

    def open(self, epoch: int) -> Checkpoint:
        """The checkpoint of ``epoch``, with every digest compared.

        Raises:
            RunError: it is damaged, or of another version.
        """
        folder = self._path(epoch)
        try:
            content = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            state = content["state"]
            if content["digest"] != _digest(state):
                raise RunError("damaged checkpoint, its digest does not fit", where=folder / _STATE)
            if (state["format"], state["version"]) != (_FORMAT, _VERSION):
                raise RunError(
                    "the checkpoint is of another version",
                    where=folder,
                    found=state["version"],
                    expected=_VERSION,
                )
            numbers = dict(state["numbers"])
            for name, digest in state["files"].items():
                if sha256_file(folder / name) != digest:
                    raise RunError("damaged checkpoint, its digest does not fit", where=folder / name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"damaged checkpoint ({error!r})", where=folder) from error
        return Checkpoint(folder, epoch, numbers)

    def last_epoch(self) -> int:
        """The newest epoch with a checkpoint, whole or not; 0: none."""
        return max(self.epochs(), default=0)

    def best_digests(self) -> set[str]:
        """Digests of the best weights so far, as the checkpoints have them; empty where none can be read."""
        digests = set()
        for epoch in self.epochs():
            try:
                state = json.loads((self._path(epoch) / _STATE).read_text(encoding="utf-8"))["state"]
                digests.add(str(state["files"]["best.safetensors"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # `newest` warns of damage; another checkpoint may have the digest
        return digests

    def clear(self) -> None:
        """Remove them all, and what a killed process left: a finished training needs none."""
        for pattern in ("epoch-[0-9]*", ".epoch-[0-9]*.partial"):
            for path in self._folder.glob(pattern):
                shutil.rmtree(path)

    def _path(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}"

    def epochs(self) -> list[int]:
        """Epochs with a checkpoint, the newest first."""
        numbers = (path.name.removeprefix("epoch-") for path in self._folder.glob("epoch-*"))
        return sorted((int(number) for number in numbers if number.isdecimal()), reverse=True)


def link_or_copy(source: Path, target: Path) -> None:
    """``target`` becomes the file ``source`` at once, without a copy where the file system has links."""
    with complete_or_absent(target) as partial:
        try:
            os.link(source, partial)  # the best weights are in up to two checkpoints and cost space once
        except OSError:
            shutil.copyfile(source, partial)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name as safetensors; the file appears only when complete.

    Args:
        tensors: on any device.
        path: of the file.

    Raises:
        WriteError: the disk is full.
    """
    with complete_or_absent(path) as partial:
        try:
            save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, partial)
        except SafetensorError as error:
            # The library gives the number in its text alone; a full disk is told as for every other file.
            reason = re.search(r"os error (\d+)", str(error))
            if reason is None:
                raise
            number = int(reason[1])
            raise OSError(number, os.strerror(number), str(partial)) from error


def _digest(state: dict[str, Any]) -> str:
    return sha256_text(json.dumps(state, sort_keys=True))
