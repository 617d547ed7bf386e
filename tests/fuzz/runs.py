"""Run folders: a finished one that predicts and is measured, and one that was stopped and is resumed."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from fuzz.kinds import Computed, Kind, digest, prepare_sample, run

RECIPE = """
name: tiny
data: {dataset: sample, alignment: unaligned, split: standard}
model: {text_encoder: tiny, layers: 1, width: 8, heads: 2}
training: {batch_size: 32, max_epochs: 3, encoder_learning_rate: 0.001, mixed_precision: 'no'}
evaluation: {rates: [0, 1]}
"""


def cider(command):
    """Run ``cider`` in this process."""
    from cider.commands import main

    return run(command, main)


class _StopError(Exception):
    """Ends a training after its first epoch, as a killed process would."""


def prepare_run(folder, *, stopped):
    """The workspace with its inputs, and a run of one tiny model."""
    import torch

    from cider.recipe.schema import load_recipe
    from cider.runs.experiment import Experiment
    from cider.runs.folder import RunFolder
    from cider.training.trainer import Trainer

    torch.set_num_threads(1)
    prepare_sample(folder)
    run("statistics --dataset sample --text-encoder tiny")
    run("counterfactual-vocab --dataset sample")
    (folder / "tiny.yaml").write_text(RECIPE, encoding="utf-8")
    if not stopped:
        cider("train tiny.yaml --out run")
        cider("evaluate run")
        return
    experiment, made = Experiment.open(load_recipe(folder / "tiny.yaml")), RunFolder(folder / "run")
    made.start(experiment)

    def stop(_):
        raise _StopError

    with suppress(_StopError):
        Trainer(experiment, made).fit(on_epoch=stop)


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]


class Runs(Kind):
    """A finished run: its predictions, and its scores from the predictions that it kept."""

    name = "run"
    seconds = 120.0
    memory = 1 << 30

    def prepare(self, folder):
        prepare_run(folder, stopped=False)

    def files(self, folder):
        return [path for path in _files(folder / "run") if "reports" not in path.parts]

    def compute(self, folder):
        os.environ["MER_DATA_HOME"] = str(folder / "data")
        predicted = cider("predict run --store data/sample/store/unaligned.h5 --out -")
        measured = json.loads(cider("evaluate run --json"))
        return Computed(digest(predicted, json.dumps(measured, sort_keys=True)))


class Resumes(Kind):
    """A run that was stopped after its first epoch and continues: it ends with the same model."""

    name = "resume"
    seconds = 120.0
    memory = 1 << 30

    def prepare(self, folder):
        prepare_run(folder, stopped=True)

    def files(self, folder):
        return _files(folder / "run")

    def compute(self, folder):
        cider("train --resume run")
        return Computed(digest(cider("predict run --store data/sample/store/unaligned.h5 --out -")))
