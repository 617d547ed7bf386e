"""The folder of one training run: recipe, provenance, log, checkpoint, predictions, reports."""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import mer_data
from cider.experiment import Experiment
from cider.maci import SentimentModel
from cider.recipe import Recipe, load_recipe
from mer_data.errors import RunError
from mer_data.files import complete_or_absent, sha256_file, write_json, write_text

_PACKAGES = ("torch", "transformers", "numpy", "h5py", "accelerate")


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run."""

    path: Path

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def provenance_path(self) -> Path:
        """Digests of what was trained on, and versions of what trained."""
        return self.path / "provenance.json"

    @property
    def log_path(self) -> Path:
        """One JSON object per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint_path(self) -> Path:
        """Weights of the epoch that validation chose."""
        return self.checkpoints_folder / "best.safetensors"

    @property
    def checkpoints_folder(self) -> Path:
        """The best weights, and while training lasts what it can be resumed from."""
        return self.path / "checkpoints"

    @property
    def result_path(self) -> Path:
        """Which epoch was chosen, and why training stopped; present only when training ended."""
        return self.path / "result.json"

    def start(self, experiment: Experiment, *, replace: bool = False) -> None:
        """Write the recipe and the provenance.

        Args:
            experiment: what is trained.
            replace: remove an earlier run in this folder first.

        Raises:
            RunError: the folder exists and is not to be replaced, or holds something that is no run.
        """
        if self.path.exists() and any(self.path.iterdir()):
            if not replace or not self.provenance_path.is_file():
                raise RunError(
                    "the folder is not empty and is no run to be replaced",
                    where=self.path,
                    do="Choose another --out",
                )
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        experiment.recipe.save(self.recipe_path)
        write_json(self.provenance_path, self._provenance(experiment))

    def _digests(self, experiment: Experiment) -> dict[str, str]:
        return {
            "recipe_digest": sha256_file(self.recipe_path),
            "store_digest": experiment.store.content_digest,
            "split_digest": experiment.split.digest,
        }

    def _provenance(self, experiment: Experiment) -> dict[str, Any]:
        """What the run is trained on and with."""
        return {
            **self._digests(experiment),
            "store": str(experiment.store.path),
            "split": str(experiment.split_path),
            "fold_sizes": {fold: len(rows) for fold, rows in experiment.rows.items()},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
            "packages": {"mer-data": mer_data.__version__, **{name: version(name) for name in _PACKAGES}},
        }

    def check_origin(self, experiment: Experiment) -> None:
        """Raise a RunError unless recipe, store and split are those the run was trained with."""
        recorded = self.read_provenance()
        advice = {
            "recipe_digest": "Do not edit a run's recipe; train again",
            "store_digest": "Point MER_DATA_HOME to the workspace it was trained in, or train again",
            "split_digest": "Point MER_DATA_HOME to the workspace it was trained in, or train again",
        }
        for name, value in self._digests(experiment).items():
            if recorded.get(name) != value:
                raise RunError(
                    f"the run was trained on another {name.removesuffix('_digest')}",
                    where=self.path,
                    found=value,
                    expected=recorded.get(name),
                    do=advice[name],
                )

    def read_provenance(self) -> dict[str, Any]:
        """The provenance that ``start`` wrote.

        Raises:
            RunError: it is damaged.
        """
        try:
            content = json.loads(self.provenance_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError("damaged provenance", where=self.provenance_path, do="Train again") from error
        if not isinstance(content, dict):
            raise RunError("damaged provenance", where=self.provenance_path, do="Train again")
        return content

    def log(self, record: dict[str, Any]) -> None:
        """Append one epoch to the log; it is on the disk when this returns."""
        with self.log_path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def read_log(self) -> list[dict[str, Any]]:
        """All epochs logged; of a killed training, without a line that it did not finish."""
        return [json.loads(line) for line in self._log_lines() if line.endswith("\n")]

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
        return self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)

    def save_weights(self, model: SentimentModel) -> None:
        """Write the checkpoint; it appears only when complete."""
        with complete_or_absent(self.checkpoint_path) as partial:
            save_file({name: value.contiguous().cpu() for name, value in model.state_dict().items()}, partial)

    def load_weights(self, model: SentimentModel) -> None:
        """Load the checkpoint into ``model``.

        Raises:
            RunError: missing, damaged, or of another model.
        """
        if not self.checkpoint_path.is_file():
            raise RunError("the run has no checkpoint", where=self.path, do="Train it with `cider train`")
        try:
            model.load_state_dict(load_file(self.checkpoint_path))
        except (SafetensorError, OSError) as error:
            raise RunError(
                f"damaged checkpoint ({error})", where=self.checkpoint_path, do="Train again"
            ) from error
        except RuntimeError as error:
            raise RunError(
                "the checkpoint is of another model than recipe.yaml says",
                where=self.checkpoint_path,
                do="Do not edit a run's recipe; train again",
            ) from error


def open_run(path: Path) -> tuple[RunFolder, Experiment]:
    """An existing run with the data it was trained on.

    Raises:
        RunError: no run, a damaged one, or recipe, store or split are not those it was trained with.
    """
    run = RunFolder(path)
    if not run.recipe_path.is_file() or not run.provenance_path.is_file():
        raise RunError("no training run", where=path, do="Make one with `cider train RECIPE`")
    recipe: Recipe = load_recipe(run.recipe_path)
    experiment = Experiment.open(recipe)
    run.check_origin(experiment)
    return run, experiment
