"""Runs that differ in evaluation alone: the weights of one are those of the other, so they are trained once.

Counterfactual text is a matter of evaluation (method section 3): without it a model trains as with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cider.prediction.model_card import save_model_card
from cider.recipe.schema import Recipe
from cider.runs.checkpoints import link_or_copy
from cider.runs.experiment import Experiment
from cider.runs.folder import RunFolder, open_run
from cider.runs.inputs import asks_for
from cider.runs.state import read_result, seal
from mer_data.files.writing import sha256_file, write_json, write_text


def trains_as(recipe: Recipe) -> Recipe:
    """What of ``recipe`` decides the weights; equal for recipes that train to the same ones."""
    maci = "label" if recipe.model.debiases_label else "none"
    return recipe.model_copy(update={"name": "", "model": recipe.model.model_copy(update={"maci": maci})})


def take_weights(recipe: Recipe, folder: Path, others: Iterable[Path]) -> Path | None:
    """Make a finished run of ``recipe`` in ``folder`` from the first of ``others`` that trained the same.

    Its provenance is that of the training, with the run and the checkpoint that the weights come from.

    Args:
        recipe: resolved.
        folder: of the new run; a run without a complete epoch is replaced.
        others: folders of runs.

    Returns:
        The run whose weights were taken; None where no finished one fits.

    Raises:
        MerDataError: a run that fits is damaged, or its data are not what they were.
    """
    for other in others:
        result = read_result(other)
        if result is None:
            continue
        source, trained = open_run(other)
        if asks_for(trains_as(recipe), trains_as(trained.recipe)):
            data = trained.recipe.data  # names the split
            _write(recipe.model_copy(update={"data": data}), folder, source, result)
            return other
    return None


def _write(recipe: Recipe, folder: Path, source: RunFolder, result: Mapping[str, Any]) -> None:
    """The result comes last: with it the run counts as finished."""
    experiment, run = Experiment.open(recipe), RunFolder(folder)
    model = experiment.build_model()
    source.load_weights(model)
    run.start(experiment, replace=True)
    recorded = {
        **source.read_provenance(),
        "recipe_digest": sha256_file(run.recipe_path),
        **{key: run.read_provenance()[key] for key in ("vocabulary", "vocabulary_digest")},
        "weights_of": {"run": source.path.name, "checkpoint": source.weights_digest()},
    }
    write_json(run.provenance_path, recorded)
    link_or_copy(source.checkpoint_path, run.checkpoint_path)
    write_text(run.log_path, source.log_path.read_text(encoding="utf-8"))
    save_model_card(run, experiment, model)
    seal(folder, result)
