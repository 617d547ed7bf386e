"""The folder of one training run: recipe, provenance, log, checkpoint, predictions, reports."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from cider.models.backbone_model import SentimentModel
from cider.recipe.schema import Recipe, load_recipe
from cider.runs.checkpoints import TrainingCheckpoints, save_tensors
from cider.runs.experiment import Experiment
from cider.runs.inputs import RunInputs
from cider.runs.provenance import provenance_of, read_provenance, tell_other_code
from cider.runs.state import (
    CHECKPOINTS,
    PROVENANCE,
    RECIPE,
    RESULT,
    WEIGHTS,
    FolderState,
    Stage,
    check_file,
    require_run,
)
from mer_data.errors import DamagedRunError, RunError
from mer_data.files.writing import naming_full_disk, sha256_file, write_json, write_text

_log = getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run."""

    path: Path

    def __post_init__(self) -> None:
        """Take a path as text, too."""
        object.__setattr__(self, "path", Path(self.path))

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / RECIPE

    @property
    def provenance_path(self) -> Path:
        """Digests of what was trained on, and versions of what trained."""
        return self.path / PROVENANCE

    @property
    def log_path(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """Weights of the epoch that validation chose."""
        return self.path / WEIGHTS

    @property
    def checkpoints_folder(self) -> Path:
        """The best weights, and while training lasts what it can be resumed from."""
        return self.path / CHECKPOINTS

    @property
    def result_path(self) -> Path:
        """Which epoch was chosen, and why training stopped; present only when training ended."""
        return self.path / RESULT

    def start(self, experiment: Experiment, *, replace: bool = False) -> None:
        """Write the recipe and the provenance.

        Args:
            experiment: what is trained.
            replace: remove an earlier run in this folder first.

        Raises:
            RunError: the folder exists and is not to be replaced, or holds something that is no run.
        """
        stage = FolderState.read(self.path).stage if not replace else self._replaceable_stage()
        if stage != "free" and (not replace or stage == "something else"):
            raise RunError(
                "the folder is not empty and is no run to be replaced",
                where=self.path,
                do="Choose another --out",
            )
        self._clear()
        self.path.mkdir(parents=True, exist_ok=True)
        experiment.recipe.save(self.recipe_path)
        write_json(self.provenance_path, provenance_of(experiment, self.recipe_path))

    def _replaceable_stage(self) -> Stage:
        """Return the stage of the folder; a run whose result is damaged is a finished one."""
        try:
            return FolderState.read(self.path).stage
        except DamagedRunError:
            return "finished"

    def _clear(self) -> None:
        """Remove what is in the folder: the result first, the provenance last.

        Killed on the way, the folder is an unfinished run, which can be replaced again.
        """
        if not self.path.is_dir():
            return
        order = {self.result_path: 0, self.provenance_path: 2}
        for path in sorted(self.path.iterdir(), key=lambda path: order.get(path, 1)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def read_recipe(self) -> Recipe:
        """The recipe of the run, as it was trained.

        Raises:
            RunError: no run, or its recipe was changed.
            RecipeError: the recipe is damaged, or of a model whose code is not named.
        """
        require_run(self.path)
        recipe = load_recipe(self.recipe_path)
        recorded = self.read_provenance()
        found, expected = sha256_file(self.recipe_path), recorded.get("recipe_digest")
        if found != expected:
            raise DamagedRunError(
                "the run was trained on another recipe",
                where=self.path,
                found=found,
                expected=expected,
                do="Do not edit a run's recipe; train again",
            )
        tell_other_code(self.path, recipe.model.name, recorded)
        return recipe

    def read_provenance(self) -> dict[str, Any]:
        """The provenance that ``start`` wrote.

        Raises:
            RunError: it is damaged, or was changed after training.
        """
        content = read_provenance(self.provenance_path)
        check_file(self.path, PROVENANCE)
        return content

    def log(self, record: dict[str, Any]) -> None:
        """Append one epoch to the log; it is on the disk when this returns."""
        with naming_full_disk(self.log_path), self.log_path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def read_log(self) -> list[dict[str, Any]]:
        """All epochs logged; of a killed training, without a line that it did not finish.

        Raises:
            RunError: a finished line is damaged.
        """
        whole = [line for line in self._log_lines() if line.endswith("\n")]
        return [self._record(number, line) for number, line in enumerate(whole, start=1)]

    def cut_log(self, epochs: int) -> int:
        """Keep the first ``epochs`` lines of the log; how many were dropped, an unfinished one included.

        Raises:
            RunError: the log has fewer.
        """
        lines, whole = self._log_lines(), len(self.read_log())
        if whole < epochs:
            raise RunError(
                "the log is shorter than the training it is of",
                where=self.log_path,
                found=f"{whole} epochs",
                expected=f"at least {epochs}",
                do="Train again with --force",
            )
        write_text(self.log_path, "".join(lines[:epochs]))
        return len(lines) - epochs

    def _log_lines(self) -> list[str]:
        if not self.log_path.is_file():
            return []
        try:
            return self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise self._damaged_log(f"is not UTF-8 ({error.reason} at byte {error.start})") from error

    def _record(self, number: int, line: str) -> dict[str, Any]:
        """One epoch of the log."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damaged_log(f"is damaged in line {number} ({error})") from error
        if not isinstance(record, dict):
            raise self._damaged_log(f"is damaged in line {number} (no epoch)")
        return record

    def _damaged_log(self, what: str) -> RunError:
        return RunError(f"the log of the training {what}", where=self.log_path, do="Train again with --force")

    def save_weights(self, model: SentimentModel) -> None:
        """Write the checkpoint; it appears only when complete."""
        save_tensors(model.state_dict(), self.checkpoint_path)

    def weights_digest(self) -> str:
        """The digest of the checkpoint, after the check that it is the one of the training.

        Raises:
            RunError: there is none.
            DamagedRunError: it is another, or damaged.
        """
        if not self.checkpoint_path.is_file():
            raise RunError("the run has no checkpoint", where=self.path, do="Train it with `cider train`")
        check_file(self.path, WEIGHTS)
        digest = sha256_file(self.checkpoint_path)
        known = (
            set()
            if self.result_path.is_file()
            else TrainingCheckpoints(self.checkpoints_folder).best_digests()
        )
        if known and digest not in known:
            raise DamagedRunError(
                "the weights of this unfinished training are in none of its checkpoints",
                where=self.checkpoint_path,
                do=f"Continue it with `cider train --resume {self.path}`, which puts them right",
            )
        return digest

    def load_weights(self, model: SentimentModel) -> None:
        """Load the checkpoint into ``model``.

        Raises:
            RunError: missing, damaged, or of another model.
        """
        self.weights_digest()
        try:
            model.load_state_dict(load_file(self.checkpoint_path))
        except (SafetensorError, OSError) as error:
            raise DamagedRunError(
                f"damaged checkpoint ({error})", where=self.checkpoint_path, do="Train again"
            ) from error
        except RuntimeError as error:
            raise RunError(
                "the checkpoint is of another model than recipe.yaml says",
                where=self.checkpoint_path,
                do="Do not edit a run's recipe; train again",
            ) from error

    def warn_unfinished(self) -> None:
        """Warn where the training has not ended: what is computed from the run will change."""
        state = FolderState.read(self.path)
        if state.stage in ("unfinished", "no epoch"):
            _log.warning(
                "Warning: %s holds %s; continue it with `cider train --resume %s`.",
                self.path, state.told, self.path,
            )  # fmt: skip


def open_run(path: str | Path) -> tuple[RunFolder, Experiment]:
    """An existing run with the data it was trained on.

    Raises:
        RunError: no run, a damaged one, one with another recipe than it was trained with, or one whose store
            or split are gone or have changed.
    """
    run = RunFolder(Path(path))
    recipe = run.read_recipe()
    return run, Experiment.of_run(recipe, RunInputs(run.path, run.read_provenance()))


def open_trained(path: str | Path) -> tuple[RunFolder, Experiment]:
    """Open a run whose weights are read: an unfinished training is warned of.

    Raises:
        RunError: as `open_run`.
    """
    run, experiment = open_run(path)
    run.warn_unfinished()
    return run, experiment
