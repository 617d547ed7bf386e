"""Provenance of a run, ``provenance.json``: inputs, code and versions it was trained with."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from logging import getLogger
from pathlib import Path
from typing import Any

import torch

from cider.models.own_code import code_digests
from cider.runs.experiment import Experiment
from cider.runs.inputs import recorded_input
from mer_data.errors import RunError
from mer_data.files.writing import sha256_file
from mer_data.version import __version__

_PACKAGES = ("torch", "transformers", "numpy", "h5py", "accelerate")
_log = getLogger(__name__)


def provenance_of(experiment: Experiment, recipe_path: Path) -> dict[str, Any]:
    """Return the provenance of a run.

    Args:
        experiment: what is trained.
        recipe_path: the recipe in the run folder.
    """
    inputs = [recorded_input(kind, path) for kind, path in experiment.input_paths().items()]
    return {
        "recipe_digest": sha256_file(recipe_path),
        **{name: value for recorded in inputs for name, value in recorded.items()},
        "code": code_digests(experiment.recipe.model.name),
        "fold_sizes": {fold: len(rows) for fold, rows in experiment.rows.items()},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "packages": {"mer-data": __version__, **{name: version(name) for name in _PACKAGES}},
    }


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance in a file.

    Raises:
        RunError: it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError("damaged provenance", where=path, do="Train again") from error
    if not isinstance(content, dict):
        raise RunError("damaged provenance", where=path, do="Train again")
    return content


def tell_other_code(run: Path, model: str, recorded: dict[str, Any]) -> None:
    """Warn where the code of a model of one's own is not that of the training.

    Args:
        run: folder of the run.
        model: its name in the recipe.
        recorded: provenance of the run; without digests of code nothing is told.
    """
    trained_with, found = recorded.get("code") or {}, code_digests(model)
    for name in sorted(found if trained_with else ()):
        if trained_with.get(name) != found[name]:
            _log.warning(
                "Warning: %s.py differs from the code that %s was trained with: found %s, expected %s.",
                name,
                run,
                found[name],
                trained_with.get(name, "none"),
            )
