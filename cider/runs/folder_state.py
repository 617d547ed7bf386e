"""What is in the folder of a run: nothing, a training that stopped somewhere, or a finished one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cider.runs.checkpoints import TrainingCheckpoints
from cider.runs.integrity import RESULT, read_result
from mer_data.errors import RunError

RECIPE, PROVENANCE, CHECKPOINTS = "recipe.yaml", "provenance.json", "checkpoints"
Stage = Literal["free", "begun", "no epoch", "unfinished", "finished", "something else"]


@dataclass(frozen=True)
class FolderState:
    """What a folder holds.

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


def _names(folder: Path) -> set[str]:
    """What is in a folder, without what a killed process was writing."""
    if not folder.is_dir():
        return {folder.name} if folder.exists() else set()
    return {path.name for path in folder.iterdir() if not (path.name[0] == "." and path.suffix == ".partial")}
